"""What two equal arms show about the judge itself: the check that comes before trust in any experiment."""

from recflow.artifacts.decisions import Decision
from recflow.artifacts.frozen import Frozen
from recflow.experiments.evidence import Evidence
from recflow.experiments.planning import OnlinePlan


class MetricNoise(Frozen):
    """A metric's relative standard error with the users so far, and the margin that so many users can show."""

    metric: str
    value: float
    relative_error: float
    margin: float


class AAReport(Frozen):
    """The verdict on the arms as they were, and how often the judge errs when the same users are split again.

    `rolled_back` and `promoted_as_better` are shares of `splits` in which any look gave that verdict.
    """

    decision: Decision
    users: int
    ratio_p: float
    splits: int
    rolled_back: float
    promoted_as_better: float
    noise: tuple[MetricNoise, ...]


def aa_report(plan: OnlinePlan, evidence: Evidence, *, splits: int = 200, seed: int = 20110101) -> AAReport:
    """The report of an A/A experiment; the same evidence gives the same report."""
    raise NotImplementedError
