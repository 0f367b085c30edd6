"""Whether the arms have the sizes that the assignment gives them; if not, nothing else can be believed."""

import math

from recflow.artifacts.events import Arm
from recflow.experiments.evidence import Evidence

# Mismatches of some hundredths are looked for: the prior share of treatment is 0.5 with a standard deviation of 0.05.
_PRIOR = 50


def mismatch_p_value(treatment: int, control: int) -> float:
    """How likely equal halves ever look this unequal: below p at any of all looks in at most a share p of experiments.

    The sequential multinomial test for two arms, by a beta-binomial Bayes factor: Lindon and Malek, Anytime-valid
    inference for multinomial count data, arXiv 2011.03567, equation 12.
    """
    factor = (
        _log_beta(_PRIOR + treatment, _PRIOR + control)
        - _log_beta(_PRIOR, _PRIOR)
        + (treatment + control) * math.log(2)
    )
    return min(1.0, math.exp(-factor)) if factor > 0 else 1.0


def sample_ratio_p(evidence: Evidence) -> float:
    """The same for everybody who was seen in one arm of an experiment."""
    return mismatch_p_value(evidence.assigned.get(Arm.TREATMENT, 0), evidence.assigned.get(Arm.CONTROL, 0))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
