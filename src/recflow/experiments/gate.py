"""The online gate: from an experiment's plan and evidence to a decision, at any time and as often as one likes.

A refresh passes when it is shown not to be worse than control by the margin, a change when it is shown to be better,
and both only when every guardrail has done what its mode asks. A metric that is shown to have become worse fails the
candidate. Planned looks are replayed from the first users of the evidence, so the gate keeps no state.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import numpy as np

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.events import Arm
from recflow.artifacts.ledger import OpenRelease
from recflow.artifacts.refs import Numbers
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import OnlineGateSection
from recflow.experiments.evidence import Design, Evidence
from recflow.experiments.planning import OnlinePlan, plan_online
from recflow.experiments.ratio import ArmEstimates
from recflow.experiments.readers import read_evidence
from recflow.experiments.rules import estimate_arms, judge_guardrail, judge_slice, judge_success, unreported
from recflow.experiments.sample_ratio import sample_ratio_p
from recflow.experiments.traffic import read_traffic
from recflow.protocols import EventLog

GATE = "online_gate"
V = Verdict


def online_judge(events: EventLog) -> Callable[[Recipe, OpenRelease, datetime], Decision]:
    """The judge that `rollout.machine.advance` asks: the online gate over an event log."""

    def judge(recipe: Recipe, release: OpenRelease, now: datetime) -> Decision:
        return judge_online(plan_release(events, recipe, release), read_release(events, recipe, release, now))

    return judge


def plan_release(events: EventLog, recipe: Recipe, release: OpenRelease) -> OnlinePlan:
    """The plan of a release's judging stage, by the traffic before the release was opened: always the same."""
    traffic = read_traffic(events, recipe, release.opened_at, release.plan.judging.max_judging_hours)
    return plan_online(recipe.online_gate, recipe.outcomes, release.plan.kind, traffic)


def read_release(events: EventLog, recipe: Recipe, release: OpenRelease, now: datetime) -> Evidence:
    """The evidence of a release's judging stage, by itself: never pooled with the canary steps."""
    section = recipe.online_gate
    slow = [rule.max_relative_drop for rule in section.guardrails if rule.metric == "p95_ms"]
    design = Design(
        recipe=recipe.name,
        experiment=f"{release.release_id}:judging",
        start=release.opened_at,
        window=timedelta(seconds=section.outcome_window_seconds),
        outcomes=recipe.outcomes,
        look_back=timedelta(days=section.covariate_days),
        max_searches_per_minute=recipe.data.max_requests_per_minute,
        slow_factor=1 + min(slow, default=0.1),
        winsorise_quantile=section.winsorise_quantile,
        slices=section.slices,
    )
    return read_evidence(events, design, now)


def judge_online(plan: OnlinePlan, evidence: Evidence) -> Decision:
    """PASS, FAIL or INCONCLUSIVE; `hold` among the numbers when the experiment itself cannot be trusted.

    `settled` among the numbers says why an undecided experiment can no longer pass.
    """
    plan = plan.resolved(evidence)
    section, told = plan.section, _told(plan.section, evidence)
    if hold := _reason_to_hold(section, evidence, told[0]):
        return _held(hold, told)
    pairs = {name: estimate_arms(plan, evidence, name) for name in _metrics(section)}
    parts: dict[str, ArmEstimates] = {
        part.name: estimate_arms(plan, evidence, section.success_metric, part.name) for part in section.slices
    }
    success = pairs[section.success_metric]
    if success.events < section.min_events_per_arm or min(success.treatment.users, success.control.users) < 2:
        least = f"{success.events:.0f} events in an arm, a look needs {section.min_events_per_arm}"
        reason = unreported(plan, evidence, section.success_metric) or least
        return Decision(gate=GATE, verdict=V.INCONCLUSIVE, reasons=(reason,), findings=told)
    if broken := _not_a_number({**pairs, **parts}):
        return _held(f"{', '.join(broken)} cannot be computed: the numbers reported are too large", told)
    findings = (
        judge_success(plan, evidence, success),
        *(judge_guardrail(plan, rule, evidence, pairs[rule.metric]) for rule in section.guardrails),
        *(judge_slice(plan, part, pair) for part, pair in parts.items()),
    )
    return _conclude((*findings, *told), _settled(plan, evidence, findings))


def _metrics(section: OnlineGateSection) -> tuple[str, ...]:
    return section.success_metric, *(rule.metric for rule in section.guardrails)


def _not_a_number(pairs: Mapping[str, ArmEstimates]) -> tuple[str, ...]:
    """What more than one user an arm took part in, and is still no number."""
    return tuple(
        name for name, pair in pairs.items() if pair.treatment.known and pair.control.known and not pair.finite
    )


def _held(reason: str, told: tuple[Finding, ...]) -> Decision:
    return Decision(gate=GATE, verdict=V.INCONCLUSIVE, reasons=(reason,), findings=told, numbers={"hold": reason})


def _conclude(findings: tuple[Finding, ...], settled: str) -> Decision:
    blocking = [finding for finding in findings if finding.blocking]
    verdict = next((v for v in (V.FAIL, V.INCONCLUSIVE) if any(f.verdict is v for f in blocking)), V.PASS)
    reasons = tuple(finding.reason for finding in blocking if finding.verdict is verdict)
    warnings = tuple(finding.reason for finding in findings if not finding.blocking and finding.verdict is V.FAIL)
    numbers: Numbers = {"settled": settled} if settled and verdict is V.INCONCLUSIVE else {}
    return Decision(gate=GATE, verdict=verdict, reasons=reasons + warnings, findings=findings, numbers=numbers)


def _settled(plan: OnlinePlan, evidence: Evidence, findings: tuple[Finding, ...]) -> str:
    """Why a guardrail that is judged once, and was, keeps the candidate from stable for good."""
    if evidence.users < plan.planned_users:
        return ""
    once = {name for name, mode in plan.modes.items() if mode.name == "not_shown_worse"}
    undecided = (f for f in findings if f.rule in once and f.verdict is V.INCONCLUSIVE)
    return next((f.reason for f in undecided if not unreported(plan, evidence, f.rule)), "")


def _told(section: OnlineGateSection, evidence: Evidence) -> tuple[Finding, ...]:
    """What people should know of the experiment and what decides nothing; the sample ratio first."""
    return _sample_ratio(section, evidence), *_programs(evidence), *_unmatched(section, evidence)


def _sample_ratio(section: OnlineGateSection, evidence: Evidence) -> Finding:
    treatment, control = (evidence.assigned.get(arm, 0) for arm in (Arm.TREATMENT, Arm.CONTROL))
    p_value = sample_ratio_p(evidence)
    reason = f"{treatment} users in treatment, {control} in control (p = {p_value:.2g} for equal halves, at any look)"
    verdict = V.FAIL if p_value < section.ratio_warn_p else V.PASS
    limit, n = section.ratio_warn_p, treatment + control
    return Finding(rule="sample_ratio", verdict=verdict, reason=reason, blocking=False, value=p_value, limit=limit, n=n)


def _programs(evidence: Evidence) -> tuple[Finding, ...]:
    """Programs decide nothing, but a person should look who they are."""
    number = sum(evidence.programs.values())
    if not number:
        return ()
    arms = ", ".join(f"{count} in {arm}" for arm, count in sorted(evidence.programs.items()))
    reason = f"users that search like programs are left out: {arms}"
    return (Finding(rule="programs", verdict=V.FAIL, reason=reason, blocking=False, n=number),)


def _unmatched(section: OnlineGateSection, evidence: Evidence) -> tuple[Finding, ...]:
    # An act after the window is late, not lost: it is shown, and no fault of those who report acts.
    number = sum(count for reason, count in evidence.unmatched.items() if reason != "after_window")
    everything = number + evidence.matched
    if not everything:
        return ()
    share = number / everything
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(evidence.unmatched.items()))
    reason = f"{share:.1%} of {everything:,} outcomes belong to no answer" + (f": {reasons}" if reasons else "")
    limit = section.max_unmatched_share
    verdict = V.FAIL if share > limit else V.PASS
    found = Finding(
        rule="unmatched", verdict=verdict, reason=reason, blocking=False, value=share, limit=limit, n=number
    )
    return (found,)


def _reason_to_hold(section: OnlineGateSection, evidence: Evidence, ratio: Finding) -> str:
    if ratio.value is not None and ratio.value < section.ratio_stop_p:
        return f"the arms differ in size: {ratio.reason}"
    seen = sum(evidence.assigned.values()) + evidence.in_both
    # Two standard errors of a count, so that the first merged login of an experiment does not stop it.
    if evidence.in_both - 2 * math.sqrt(evidence.in_both) > section.max_users_in_both * seen:
        return f"{evidence.in_both} of {seen} users were in both arms"
    everything = {"": evidence.totals, **evidence.slices}
    names = (name for totals in everything.values() for name, sums in totals.items() if not np.isfinite(sums).all())
    broken = sorted(set(names))
    return f"what was reported adds up to no number: {', '.join(broken)}" if broken else ""
