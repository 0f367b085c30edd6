"""The online gate: from an experiment's evidence to a decision, at any time and as often as one likes.

A refresh passes when it is shown not to be worse than control by the margin, a change when it is shown to be better,
and both only when every guardrail is shown to hold. A metric that is shown to have become worse fails the candidate.
Levels: passing needs every rule, so each has the whole alpha; failing needs one of them, so they share it.
"""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.events import Arm
from recflow.artifacts.ledger import OpenRelease
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import Guardrail, OnlineGateSection
from recflow.experiments.evidence import Design, Evidence
from recflow.experiments.metrics import FALLBACK_FLOOR, SLOW_SHARE, Pair, measure, measure_slow
from recflow.experiments.ratio import Contrast, contrast
from recflow.experiments.readers import read_evidence
from recflow.experiments.sample_ratio import mismatch_p_value
from recflow.experiments.sequential import Sequence
from recflow.protocols import EventLog

GATE = "online_gate"
V = Verdict


def online_judge(events: EventLog) -> Callable[[Recipe, OpenRelease, datetime], Decision]:
    """The judge that `rollout.machine.advance` asks: the online gate over an event log."""

    def judge(recipe: Recipe, release: OpenRelease, now: datetime) -> Decision:
        return judge_online(recipe.online_gate, release.plan.kind, read_release(events, recipe, release, now))

    return judge


def read_release(events: EventLog, recipe: Recipe, release: OpenRelease, now: datetime) -> Evidence:
    """The evidence of a release's judging stage, by itself: never pooled with the canary steps."""
    gate = recipe.online_gate
    margins = [rule.max_relative_drop for rule in gate.guardrails if rule.metric == "p95_ms"]
    design = Design(
        recipe=recipe.name,
        experiment=f"{release.release_id}:judging",
        start=release.opened_at,
        window=timedelta(seconds=gate.outcome_window_seconds),
        outcomes=recipe.outcomes,
        slow_factor=1 + min(margins, default=0.1),
    )
    return read_evidence(events, design, now)


def judge_online(section: OnlineGateSection, kind: Literal["refresh", "change"], evidence: Evidence) -> Decision:
    """PASS, FAIL or INCONCLUSIVE; `hold` among the numbers when the experiment itself cannot be trusted."""
    ratio = _sample_ratio(section, evidence)
    if hold := _reason_to_hold(section, evidence, ratio):
        return Decision(gate=GATE, verdict=V.INCONCLUSIVE, reasons=(hold,), findings=(ratio,), numbers={"hold": hold})
    success = measure(evidence, section.success_metric, section.winsorise_quantile)
    fewest = min(success.treatment.events, success.control.events)
    if fewest < section.min_events_per_arm:
        reason = f"{fewest:.0f} events in the smaller arm, a look needs {section.min_events_per_arm}"
        return Decision(gate=GATE, verdict=V.INCONCLUSIVE, reasons=(reason,), findings=(ratio,))
    findings = (_success(section, kind, success), *(_guardrail(section, rule, evidence) for rule in section.guardrails))
    return _conclude((*findings, ratio))


def _conclude(findings: tuple[Finding, ...]) -> Decision:
    blocking = [finding for finding in findings if finding.blocking]
    verdict = next((v for v in (V.FAIL, V.INCONCLUSIVE) if any(f.verdict is v for f in blocking)), V.PASS)
    reasons = tuple(finding.reason for finding in blocking if finding.verdict is verdict)
    warnings = tuple(finding.reason for finding in findings if not finding.blocking and finding.verdict is V.FAIL)
    return Decision(gate=GATE, verdict=verdict, reasons=reasons + warnings, findings=findings)


def _sample_ratio(section: OnlineGateSection, evidence: Evidence) -> Finding:
    treatment, control = (evidence.assigned.get(arm, 0) for arm in (Arm.TREATMENT, Arm.CONTROL))
    p_value = mismatch_p_value(treatment, control)
    reason = f"{treatment} users in treatment, {control} in control (p = {p_value:.2g} for equal halves)"
    verdict = V.FAIL if p_value < section.ratio_warn_p else V.PASS
    limit, n = section.ratio_warn_p, treatment + control
    return Finding(rule="sample_ratio", verdict=verdict, reason=reason, blocking=False, value=p_value, limit=limit, n=n)


def _reason_to_hold(section: OnlineGateSection, evidence: Evidence, ratio: Finding) -> str:
    if ratio.value is not None and ratio.value < section.ratio_stop_p:
        return f"the arms differ in size: {ratio.reason}"
    seen = sum(evidence.assigned.values()) + evidence.in_both
    # Two standard errors of a count, so that the first merged login of an experiment does not stop it.
    if evidence.in_both - 2 * math.sqrt(evidence.in_both) > section.max_users_in_both * seen:
        return f"{evidence.in_both} of {seen} users were in both arms"
    return ""


def _success(section: OnlineGateSection, kind: str, pair: Pair) -> Finding:
    margin = section.max_relative_drop if kind == "refresh" else 0.0
    enough = contrast(pair.treatment, pair.control, 1 - margin)
    worse = contrast(pair.treatment, pair.control)
    return _finding(section, section.success_metric, pair, enough=enough, harm=worse, margin=margin)


def _guardrail(section: OnlineGateSection, rule: Guardrail, evidence: Evidence) -> Finding:
    """A guardrail fails only beyond its margin. Rates of harm are turned round, so that above 0 is always better.

    p95 is judged by the share of searches slower than the limit, which must be shown to be at most 5 %. A rise of the
    fallback rate below half a percentage point is never more than the margin: near 0 a relative rule says nothing.
    """
    margin = rule.max_relative_drop
    if rule.metric == "p95_ms":
        pair = measure_slow(evidence)
        room = Contrast(SLOW_SHARE - pair.treatment.value, pair.treatment.variance**0.5, _users(pair))
        return _finding(section, rule.metric, pair, enough=room, harm=room, margin=margin)
    pair = measure(evidence, rule.metric, section.winsorise_quantile)
    if rule.metric == "fallback_rate":
        allowed = max((1 + margin) * pair.control.value, pair.control.value + FALLBACK_FLOOR)
        error = contrast(pair.treatment, pair.control).standard_error
        room = Contrast(allowed - pair.treatment.value, error, _users(pair))
        return _finding(section, rule.metric, pair, enough=room, harm=room, margin=margin)
    room = contrast(pair.treatment, pair.control, 1 - margin)
    return _finding(section, rule.metric, pair, enough=room, harm=room, margin=margin)


def _users(pair: Pair) -> int:
    return pair.treatment.users + pair.control.users


def _finding(
    section: OnlineGateSection, metric: str, pair: Pair, *, enough: Contrast, harm: Contrast, margin: float
) -> Finding:
    """PASS when the lower bound of `enough` is above 0, FAIL when the upper bound of `harm` is below 0."""
    share = section.alpha / (1 + len(section.guardrails))
    low = enough.difference - Sequence(section.alpha, section.planned_users or 5000).margin(
        enough.users, enough.standard_error
    )
    high = harm.difference + Sequence(share, section.planned_users or 5000).margin(harm.users, harm.standard_error)
    verdict = V.FAIL if high < 0 else V.PASS if low > 0 else V.INCONCLUSIVE
    interval = relative_interval(section, pair)
    return Finding(
        rule=metric,
        verdict=verdict,
        reason=_reason(metric, pair, verdict, margin, interval),
        value=_relative(pair.treatment.value - pair.control.value, pair),
        low=interval[0],
        high=interval[1],
        limit=-margin,
        n=enough.users,
    )


def relative_interval(section: OnlineGateSection, pair: Pair) -> tuple[float, float] | tuple[None, None]:
    """Treatment against control as a share of control, with the two-sided sequence; None where control is 0."""
    plain = contrast(pair.treatment, pair.control)
    half = Sequence(section.alpha, section.planned_users or 5000).half_width(plain.users, plain.standard_error)
    low, high = _relative(plain.difference - half, pair), _relative(plain.difference + half, pair)
    return (None, None) if low is None or high is None else (low, high)


def _relative(difference: float, pair: Pair) -> float | None:
    return difference / pair.control.value if pair.control.value > 0 else None


def _reason(
    metric: str, pair: Pair, verdict: Verdict, margin: float, interval: tuple[float, float] | tuple[None, None]
) -> str:
    said = {V.FAIL: "is worse", V.PASS: f"holds (margin {margin:.1%})"}.get(
        verdict, f"is undecided (margin {margin:.1%})"
    )
    low, high = interval
    span = "" if low is None or high is None else f", {low:+.1%} … {high:+.1%} of control"
    return f"{metric} {said}: {pair.treatment.value:.4g} against {pair.control.value:.4g}{span}, {_users(pair)} users"
