"""An experiment for people: a row an arm, as a table."""

from recflow.artifacts.events import Arm
from recflow.artifacts.frozen import Frozen
from recflow.config.sections.gate import OnlineGateSection
from recflow.experiments.evidence import Evidence
from recflow.experiments.gate import relative_interval
from recflow.experiments.metrics import measure
from recflow.experiments.ratio import Estimate
from recflow.experiments.sequential import Sequence


class ArmRow(Frozen):
    """One arm: users whose window has closed, their searches, and the success metric with its sequential interval."""

    arm: Arm
    users: int
    searches: int
    value: float
    low: float
    high: float


class ExperimentReport(Frozen):
    """Both arms, and treatment against control as a share of control (None while control is 0)."""

    metric: str
    confidence: float
    arms: tuple[ArmRow, ...]
    relative_low: float | None
    relative_high: float | None


def summarise(section: OnlineGateSection, evidence: Evidence) -> ExperimentReport | None:
    """The report of the evidence so far; None before each arm has two users."""
    pair = measure(evidence, section.success_metric, section.winsorise_quantile)
    if min(pair.treatment.users, pair.control.users) < 2:
        return None
    low, high = relative_interval(section, pair)
    rows = tuple(
        _row(section, evidence, *arm) for arm in ((Arm.CONTROL, pair.control), (Arm.TREATMENT, pair.treatment))
    )
    return ExperimentReport(
        metric=section.success_metric, confidence=1 - section.alpha, arms=rows, relative_low=low, relative_high=high
    )


def _row(section: OnlineGateSection, evidence: Evidence, arm: Arm, seen: Estimate) -> ArmRow:
    half = Sequence(section.alpha, section.planned_users or 5000).half_width(seen.users, seen.variance**0.5)
    searches = int(evidence.totals["searches"][evidence.treated == (arm is Arm.TREATMENT)].sum())
    low, high = seen.value - half, seen.value + half
    return ArmRow(arm=arm, users=seen.users, searches=searches, value=seen.value, low=low, high=high)


def as_text(report: ExperimentReport) -> str:
    """The report as lines of a terminal."""
    lines = [f"{'arm':<10} {'users':>8} {'searches':>9}  {report.metric} ({report.confidence:.0%}, at any look)"]
    lines += [
        f"{row.arm:<10} {row.users:>8,} {row.searches:>9,}  {row.value:.4f} ({row.low:.4f} … {row.high:.4f})"
        for row in report.arms
    ]
    if report.relative_low is not None and report.relative_high is not None:
        lines.append(f"treatment against control: {report.relative_low:+.1%} … {report.relative_high:+.1%}")
    return "\n".join(lines)
