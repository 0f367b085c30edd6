"""The metrics of an experiment as sums by user, with no unit above the others and what they did before taken off."""

import numpy as np
from numpy.typing import NDArray

from recflow.config.sections.outcomes import OutcomeMetric
from recflow.experiments.evidence import Evidence, Totals
from recflow.experiments.ratio import ArmEstimates, covariate_prediction, estimate, winsor_weights, winsorise

SLOW_SHARE = 0.05
FALLBACK_FLOOR = 0.005
_SERVING = {"fallback_rate": "fallbacks", "p95_ms": "slow"}
Values = NDArray[np.float64]


def measure(evidence: Evidence, metric: OutcomeMetric | str, quantile: float, *, part: str = "") -> ArmEstimates:
    """A metric in both arms, of all searches or of those in the slice `part`; users outside it do not count.

    Both arms are cut at one bound: a unit's weight where it has more searches than the quantile of them, then its
    total; its events too, so that no unit alone makes enough of them to judge by. fallback_rate and p95_ms (the share
    of searches slower than the limit) are named, others come from outcomes.
    """
    totals = evidence.slices.get(part, {}) if part else evidence.totals
    inside = _column(totals, "searches", evidence.users) > 0
    with np.errstate(all="ignore"):
        above, below = _cut(totals, metric, quantile, evidence.users)
        above, below, treated = above[inside], below[inside], evidence.treated[inside]
        earlier = None if isinstance(metric, str) else _earlier(evidence.before, metric, quantile, evidence.users)
        predicted = None if earlier is None else covariate_prediction(above, below, earlier[inside])
        events = winsorise(_column(totals, _events(metric), evidence.users)[inside], quantile)
        arms = (
            estimate(above[arm], below[arm], None if predicted is None else predicted[arm], float(events[arm].sum()))
            for arm in (treated, ~treated)
        )
        return ArmEstimates(*arms)


def _events(metric: OutcomeMetric | str) -> str:
    return _SERVING[metric] if isinstance(metric, str) else f"count:{metric.kind}"


def _column(totals: Totals, name: str, users: int) -> Values:
    return totals[name] if name in totals else np.zeros(users)


def _cut(totals: Totals, metric: OutcomeMetric | str, quantile: float, users: int) -> tuple[Values, Values]:
    """Numerators and denominators of all users."""
    searches = _column(totals, "searches", users)
    name = _SERVING[metric] if isinstance(metric, str) else f"{metric.of}:{metric.kind}"
    if not isinstance(metric, str) and metric.per == "user":
        return winsorise(_column(totals, name, users), quantile), np.ones(users)
    weight = winsor_weights(searches, quantile)
    return winsorise(_column(totals, name, users) * weight, quantile), searches * weight


def _earlier(before: Totals, metric: OutcomeMetric, quantile: float, users: int) -> Values | None:
    """Covariates, users by columns: the metric's own earlier residual and rate, earlier searches, whether any."""
    searches = _column(before, "searches", users)
    if not searches.any():
        return None
    above, below = _cut(before, metric, quantile, users)
    rate = above.sum() / below.sum()
    had = searches > 0
    own = np.where(had, above / np.where(had, below, 1) - rate, 0)
    return np.column_stack([np.where(had, above - rate * below, 0), own, winsorise(searches, quantile), had])
