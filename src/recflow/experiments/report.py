"""An experiment for people: a row an arm as it was seen, every rule's finding, and what a person should look at."""

import math

from recflow.artifacts.decisions import Finding
from recflow.artifacts.events import Arm
from recflow.artifacts.frozen import Frozen
from recflow.experiments.evidence import Evidence, HeavyUnit
from recflow.experiments.gate import judge_online
from recflow.experiments.planning import OnlinePlan
from recflow.experiments.ratio import Estimate
from recflow.experiments.rules import estimate_arms, relative_difference
from recflow.experiments.sequential import ConfidenceSequence


class ArmRow(Frozen):
    """One arm: users whose window has closed, their searches, and the success metric with its sequential interval.

    None where what was reported adds up to no number.
    """

    arm: Arm
    users: int
    searches: float | None
    value: float | None
    low: float | None
    high: float | None


class ExperimentReport(Frozen):
    """Both arms as they were seen, and treatment against control as a share of control after adjustment.

    The relative bounds are None while control is 0. `findings` are the gate's, `held` why it trusts none of them;
    `collisions` counts outcome ids that stood for several acts.
    """

    metric: str
    confidence: float
    arms: tuple[ArmRow, ...]
    relative_low: float | None
    relative_high: float | None
    findings: tuple[Finding, ...] = ()
    held: str = ""
    heaviest: tuple[HeavyUnit, ...] = ()
    collisions: int = 0


def summarise(plan: OnlinePlan, evidence: Evidence) -> ExperimentReport | None:
    """The report of the evidence so far; None before each arm has two users."""
    pair = estimate_arms(plan, evidence, plan.section.success_metric)
    if not (pair.treatment.known and pair.control.known):
        return None
    _, low, high = relative_difference(plan, pair)
    decision = judge_online(plan, evidence)
    return ExperimentReport(
        metric=plan.section.success_metric,
        confidence=1 - plan.section.alpha,
        arms=(_row(plan, evidence, Arm.CONTROL, pair.control), _row(plan, evidence, Arm.TREATMENT, pair.treatment)),
        relative_low=low,
        relative_high=high,
        findings=decision.findings,
        held=str(decision.numbers.get("hold", "")),
        heaviest=evidence.heaviest,
        collisions=evidence.collisions,
    )


def _row(plan: OnlinePlan, evidence: Evidence, arm: Arm, seen: Estimate) -> ArmRow:
    half = ConfidenceSequence(plan.section.alpha, plan.planned_users).half_width(seen.users, seen.variance**0.5)
    mine = evidence.treated if arm is Arm.TREATMENT else ~evidence.treated
    numbers = {
        "searches": float(evidence.totals["searches"][mine].sum()),
        "value": seen.value,
        "low": seen.value - half,
        "high": seen.value + half,
    }
    known = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
    return ArmRow(arm=arm, users=seen.users, **known)


def as_text(report: ExperimentReport) -> str:
    """The report as lines of a terminal."""
    lines = [f"{'arm':<10} {'users':>8} {'searches':>9}  {report.metric} ({report.confidence:.0%}, at any look)"]
    lines += [
        f"{row.arm:<10} {row.users:>8,} {_number(row.searches, ',.0f'):>9}  {_number(row.value)} "
        f"({_number(row.low)} … {_number(row.high)})"
        for row in report.arms
    ]
    lines += [f"held: {report.held}"] if report.held else []
    if report.relative_low is not None and report.relative_high is not None:
        lines.append(f"treatment against control, adjusted: {report.relative_low:+.1%} … {report.relative_high:+.1%}")
    lines += [f"{finding.verdict:<13} {finding.reason}" for finding in report.findings]
    if report.heaviest:
        lines.append("most searches: " + ", ".join(map(_heavy, report.heaviest)))
    if report.collisions:
        lines.append(f"{report.collisions:,} outcome ids stood for several acts; each act counts")
    return "\n".join(lines)


def _number(value: float | None, form: str = ".4f") -> str:
    return "no number" if value is None else format(value, form)


def _heavy(unit: HeavyUnit) -> str:
    left_out = ", left out as a program" if unit.program else ""
    return f"{unit.user_key} {unit.searches:,} ({unit.share:.1%} of {unit.arm}{left_out})"
