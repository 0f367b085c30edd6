"""Decisions: what a gate concluded from which evidence. A red gate is a decision, not an exception."""

from enum import StrEnum

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.refs import Numbers


class Verdict(StrEnum):
    """PASS alone promotes. INCONCLUSIVE: too thin, or the judge broke. NOT_EVALUATED: not configured, or too small."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_EVALUATED = "NOT_EVALUATED"


class Finding(Frozen):
    """One rule of a gate: what was judged, the verdict, and the numbers it rests on.

    `blocking` is False for findings that are shown but do not decide. `value` is the judged point, `low` and `high`
    its interval, `limit` the bound it was held against, `n` the units (queries, users, requests) behind it.
    """

    rule: str
    verdict: Verdict
    reason: str
    blocking: bool = True
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    n: int | None = None


class Decision(Frozen):
    """A gate's verdict with its findings; `reasons` are the sentences a person reads first."""

    gate: str
    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    numbers: Numbers = {}

    @property
    def passed(self) -> bool:
        """Whether this decision lets the candidate go on."""
        return self.verdict is Verdict.PASS
