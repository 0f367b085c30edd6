"""The rules of the online gate, one finding each: the success metric, its slices, the guardrails.

Levels: passing needs every rule, so each has the whole alpha. Failing needs one of them, so they share it: the looks at
the success metric have most of it, and what is left is shared evenly by the sequences that go on guarding at any look,
of the success metric, of each slice, and of each guardrail, the last at its margin.
"""

import math
from dataclasses import replace
from statistics import NormalDist

from recflow.artifacts.decisions import Finding, Verdict
from recflow.config.sections.gate import Guardrail
from recflow.config.sections.outcomes import SERVING_METRICS, OutcomeMetric
from recflow.experiments.evidence import Evidence
from recflow.experiments.group_sequential import boundaries, look_users
from recflow.experiments.metrics import FALLBACK_FLOOR, SLOW_SHARE, measure
from recflow.experiments.planning import LOOKS_SHARE, MARGINS, SURE, OnlinePlan
from recflow.experiments.ratio import ArmEstimates, Contrast, contrast
from recflow.experiments.sequential import ConfidenceSequence

V = Verdict


def estimate_arms(plan: OnlinePlan, evidence: Evidence, metric: str, part: str = "") -> ArmEstimates:
    """A metric in both arms as the plan measures it."""
    return measure(evidence, plan.made_of(metric), plan.section.winsorise_quantile, part=part)


def noninferiority(plan: OnlinePlan, metric: str, pair: ArmEstimates, margin: float) -> Contrast:
    """How far treatment is from being worse by the margin (a share of control): above 0 is inside it.

    p95 is judged by the share of searches slower than the limit, which must be at most 5 %. A rise of the fallback rate
    below half a percentage point is never more than the margin: near 0 a relative rule says nothing.
    """
    treatment, control = pair.treatment, pair.control
    if metric == "p95_ms":
        return Contrast(SLOW_SHARE - treatment.value, math.sqrt(treatment.variance), pair.users)
    if metric == "fallback_rate":
        allowed = max((1 + margin) * control.value, control.value + FALLBACK_FLOOR)
        return replace(contrast(treatment, control), difference=allowed - treatment.value)
    made = plan.made_of(metric)
    if isinstance(made, OutcomeMetric) and made.better == "less":
        above = contrast(treatment, control, 1 + margin)
        return replace(above, difference=-above.difference)
    return contrast(treatment, control, max(0.0, 1 - margin))


def judge_success(plan: OnlinePlan, evidence: Evidence, pair: ArmEstimates) -> Finding:
    """A refresh must be shown to hold the margin, a change to be better; each fails when shown to be worse at all."""
    name = plan.section.success_metric
    for users in look_users(plan.harm_users):
        if users <= evidence.users and (looked := _worse_at_look(plan, evidence, users)):
            said = f"is worse at the look for harm at {users:,} users"
            return _finding(plan, name, looked, V.FAIL, said, 0.0)
    margin = plan.section.max_relative_drop if plan.kind == "refresh" else 0.0
    verdict = _at_any_look(
        plan, enough=noninferiority(plan, name, pair, margin), harm=noninferiority(plan, name, pair, 0.0)
    )
    aim = f"margin {margin:.1%}" if margin else "must be better"
    return _finding(plan, name, pair, verdict, f"{_SAID[verdict]} ({aim})", margin)


def _worse_at_look(plan: OnlinePlan, evidence: Evidence, users: int) -> ArmEstimates | None:
    name = plan.section.success_metric
    pair = estimate_arms(plan, evidence.first(users), name)
    if pair.events < plan.section.min_events_per_arm or not pair.finite:
        return None
    bound = boundaries(LOOKS_SHARE * plan.section.alpha)[look_users(plan.harm_users).index(users)]
    seen = noninferiority(plan, name, pair, 0.0)
    return pair if seen.difference < -bound * seen.standard_error else None


def judge_slice(plan: OnlinePlan, part: str, pair: ArmEstimates) -> Finding:
    """A slice of the success metric can stop a candidate, and need not be shown to hold."""
    name, least = plan.section.success_metric, plan.section.min_events_per_arm
    if pair.events < least:
        reason = f"{name} of {part} is not evaluated: {pair.events:.0f} events an arm, a look needs {least}"
        return Finding(rule=f"{name}:{part}", verdict=V.NOT_EVALUATED, reason=reason, blocking=False, n=pair.users)
    harmed = _above(noninferiority(plan, name, pair, 0.0), plan.harm_alpha, plan) < 0
    verdict = V.FAIL if harmed else V.PASS
    said = f"of {part} {'is worse' if harmed else 'is not shown to be worse'}"
    return _finding(plan, name, pair, verdict, said, 0.0).model_copy(update={"rule": f"{name}:{part}"})


def judge_guardrail(plan: OnlinePlan, rule: Guardrail, evidence: Evidence, pair: ArmEstimates) -> Finding:
    """A guardrail in its mode; one whose outcomes nobody reports is said to be so."""
    mode = plan.modes[rule.metric]
    if silent := unreported(plan, evidence, rule.metric):
        return _undecided(rule, silent, pair)
    if mode.name is None:
        return _undecided(rule, f"{rule.metric}: its mode is {mode.why}", pair)
    if mode.name == "not_shown_worse":
        return _judge_once(plan, rule, evidence, pair)
    rare = rule.metric not in SERVING_METRICS and pair.events < plan.section.min_events_per_arm
    if rare:
        needs = f"a look needs {plan.section.min_events_per_arm}"
        return _undecided(rule, f"{rule.metric} is undecided: {pair.events:.0f} events an arm, {needs}", pair)
    left = noninferiority(plan, rule.metric, pair, rule.max_relative_drop)
    verdict = _at_any_look(plan, enough=left, harm=left)
    said = f"{_SAID[verdict]} (margin {rule.max_relative_drop:.1%})"
    return _finding(plan, rule.metric, pair, verdict, said, rule.max_relative_drop)


def _judge_once(plan: OnlinePlan, rule: Guardrail, evidence: Evidence, pair: ArmEstimates) -> Finding:
    """At the planned end: not shown to be worse than control, and shown not to be worse by three margins.

    The second is what chooses the level of the first: three margins worse pass in one case of twenty, however rare
    the events. Not passing keeps stable, and never rolls back.
    """
    planned = plan.planned_users
    if evidence.users < planned:
        waits = f"{rule.metric} is judged once, at {planned:,} users ({evidence.users:,} so far)"
        return _undecided(rule, waits, pair)
    pair = estimate_arms(plan, evidence.first(planned), rule.metric)
    equal = noninferiority(plan, rule.metric, pair, 0.0)
    far = noninferiority(plan, rule.metric, pair, MARGINS * rule.max_relative_drop)
    not_worse = equal.difference + NormalDist().inv_cdf(1 - plan.section.alpha) * equal.standard_error >= 0
    passed = not_worse and far.difference - SURE * far.standard_error > 0
    said = "is not shown to be worse" if passed else "may be worse, which keeps stable"
    verdict = V.PASS if passed else V.INCONCLUSIVE
    return _finding(plan, rule.metric, pair, verdict, f"{said} (judged once, at {planned:,} users)", 0.0)


def unreported(plan: OnlinePlan, evidence: Evidence, metric: str) -> str:
    """A sentence naming the kind that nobody reports, in neither arm and never before; empty when somebody does."""
    made = plan.made_of(metric)
    if isinstance(made, str) or not evidence.users:
        return ""
    counts = (totals.get(f"count:{made.kind}") for totals in (evidence.totals, evidence.before))
    if metric in plan.noise or any(count is not None and count.any() for count in counts):
        return ""
    return (
        f"{metric}: no {made.kind} has been reported, by none of {evidence.users:,} users, nor before the start: "
        f"let the shop send it, or take {metric} out of online_gate"
    )


_SAID = {V.FAIL: "is worse", V.PASS: "holds", V.INCONCLUSIVE: "is undecided"}


def _at_any_look(plan: OnlinePlan, *, enough: Contrast, harm: Contrast) -> Verdict:
    """PASS when the lower bound of `enough` is above 0, FAIL when the upper bound of `harm` is below 0."""
    if _above(harm, plan.harm_alpha, plan) < 0:
        return V.FAIL
    margin = ConfidenceSequence(plan.section.alpha, plan.planned_users).margin(enough.users, enough.standard_error)
    return V.PASS if enough.difference - margin > 0 else V.INCONCLUSIVE


def _above(seen: Contrast, alpha: float, plan: OnlinePlan) -> float:
    """The upper bound of a contrast, at any look."""
    return seen.difference + ConfidenceSequence(alpha, plan.planned_users).margin(seen.users, seen.standard_error)


def _undecided(rule: Guardrail, reason: str, pair: ArmEstimates) -> Finding:
    return Finding(rule=rule.metric, verdict=V.INCONCLUSIVE, reason=reason, limit=-rule.max_relative_drop, n=pair.users)


def _finding(plan: OnlinePlan, metric: str, pair: ArmEstimates, verdict: Verdict, said: str, margin: float) -> Finding:
    """What was seen as it was, and the adjusted difference, which decides, with its interval."""
    change, low, high = relative_difference(plan, pair)
    span = f", adjusted {change:+.1%} ({low:+.1%} … {high:+.1%})" if None not in (change, low, high) else ""
    seen = f"{pair.treatment.value:.4g} against {pair.control.value:.4g}"
    reason = f"{metric} {said}: {seen}{span}, {pair.users:,} users"
    return Finding(
        rule=metric, verdict=verdict, reason=reason, value=change, low=low, high=high, limit=-margin, n=pair.users
    )


def relative_difference(plan: OnlinePlan, pair: ArmEstimates) -> tuple[float | None, float | None, float | None]:
    """The adjusted difference as a share of control with its two-sided interval at any look; None where it has none."""
    plain = contrast(pair.treatment, pair.control)
    if not (pair.control.value > 0 and math.isfinite(plain.standard_error)):
        return None, None, None
    half = ConfidenceSequence(plan.section.alpha, plan.planned_users).half_width(plain.users, plain.standard_error)
    change, low, high = ((plain.difference + step) / pair.control.value for step in (0.0, -half, half))
    return (change, low, high) if math.isfinite(low) and math.isfinite(high) else (None, None, None)
