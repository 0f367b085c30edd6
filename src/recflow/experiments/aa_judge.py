"""The judge of an A/A release: says nothing until its users are in or its hours over, then what the A/A has shown."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.ledger import OpenRelease
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import OnlineGateSection
from recflow.experiments.aa import AAReport, aa_report
from recflow.experiments.evidence import Evidence
from recflow.experiments.gate import plan_release, read_release
from recflow.experiments.planning import OnlinePlan
from recflow.protocols import EventLog

GATE = "aa"
V = Verdict


def aa_judge(events: EventLog) -> Callable[[Recipe, OpenRelease, datetime], Decision]:
    """The judge that `rollout.machine.advance` asks about an A/A: INCONCLUSIVE until it is over."""

    def judge(recipe: Recipe, release: OpenRelease, now: datetime) -> Decision:
        plan = _until(plan_release(events, recipe, release), release.users)
        over = now - release.entered_at >= timedelta(hours=release.plan.judging.max_judging_hours)
        return judge_aa(plan, read_release(events, recipe, release, now), over=over)

    return judge


def judge_aa(plan: OnlinePlan, evidence: Evidence, *, over: bool) -> Decision:
    """INCONCLUSIVE until the planned users are in or the hours are `over`; then what the report says."""
    if evidence.users < plan.planned_users and not over:
        return _waits(f"{evidence.users:,} of {plan.planned_users:,} users, each after the outcome window")
    treated = int(evidence.treated.sum())
    if min(treated, evidence.users - treated) < 2:
        return _waits("there are fewer than two users in an arm")
    return aa_decision(plan.section, aa_report(plan, evidence))


def aa_decision(section: OnlineGateSection, report: AAReport) -> Decision:
    """FAIL where the judge errs more often than its level, or the arms differ in size: trust no experiment."""
    findings = (*_errors(report), _ratio(section, report), _arms(report), *_noise(report))
    failed = tuple(finding.reason for finding in findings if finding.blocking and finding.verdict is V.FAIL)
    judged = any(finding.rule == section.success_metric for finding in report.decision.findings)
    if not failed and not judged:
        # A judge that had nothing to judge by raised no false alarm, which says nothing of it.
        silent = f"nothing was judged: {'; '.join(report.decision.reasons)}"
        return Decision(gate=GATE, verdict=V.INCONCLUSIVE, reasons=(silent,), findings=findings)
    calm = (
        f"{report.users:,} users in two equal arms: {report.rolled_back:.1%} rolled back and "
        f"{report.promoted_as_better:.1%} promoted as better in {report.splits} splits of them"
    )
    return Decision(gate=GATE, verdict=V.FAIL if failed else V.PASS, reasons=failed or (calm,), findings=findings)


def _until(plan: OnlinePlan, users: int) -> OnlinePlan:
    return replace(plan, planned_users=users, harm_users=min(users, plan.harm_users)) if users else plan


def _waits(reason: str) -> Decision:
    return Decision(gate=GATE, verdict=V.INCONCLUSIVE, reasons=(reason,))


def _errors(report: AAReport) -> Iterator[Finding]:
    """False alarms by kind; three standard errors of so many splits are chance."""
    limit = report.alpha + 3 * math.sqrt(report.alpha * (1 - report.alpha) / report.splits)
    for rule, share in (("rolled_back", report.rolled_back), ("promoted_as_better", report.promoted_as_better)):
        reason = f"equal arms were {rule.replace('_', ' ')} in {share:.1%} of {report.splits} splits of the same users"
        verdict = V.FAIL if share > limit else V.PASS
        told = f"{reason} (at most {report.alpha:.1%} are promised, {limit:.1%} can be chance)"
        yield Finding(rule=rule, verdict=verdict, reason=told, value=share, limit=limit, n=report.splits)


def _ratio(section: OnlineGateSection, report: AAReport) -> Finding:
    limit = section.ratio_stop_p
    verdict = V.FAIL if report.ratio_p < limit else V.PASS
    said = "differ in size" if verdict is V.FAIL else "are of one size"
    reason = f"the arms {said}: p = {report.ratio_p:.2g} for equal halves"
    return Finding(
        rule="sample_ratio", verdict=verdict, reason=reason, value=report.ratio_p, limit=limit, n=report.users
    )


def _arms(report: AAReport) -> Finding:
    """One pair of arms errs by chance now and then: told, and no reason for distrust by itself."""
    reason = f"the arms as they were: {report.decision.verdict}: {'; '.join(report.decision.reasons)}"
    return Finding(rule="arms", verdict=report.decision.verdict, reason=reason, blocking=False, n=report.users)


def _noise(report: AAReport) -> Iterator[Finding]:
    for seen in report.noise:
        reason = f"{seen.metric}: nobody has reported it"
        if seen.relative_error is not None and seen.margin is not None:
            reason = (
                f"{seen.metric}: the standard error of a difference is {seen.relative_error:.1%} of it, "
                f"so many users can show a margin of {seen.margin:.1%}"
            )
        yield Finding(
            rule=f"noise of {seen.metric}",
            verdict=V.PASS,
            reason=reason,
            blocking=False,
            value=seen.relative_error,
            limit=seen.margin,
            n=report.users,
        )
