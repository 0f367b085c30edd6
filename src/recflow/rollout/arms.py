"""Canary and judging: shoppers meet the candidate in one arm and stable in the other, and the two are compared."""

from datetime import datetime

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.ledger import LedgerEvent, OpenRelease, ReleaseState
from recflow.domain.releases import is_aa
from recflow.domain.routes import routes
from recflow.rollout.context import Context
from recflow.rollout.decide import judge_health, traffic_off_plan
from recflow.rollout.due import after_canary, canary_step, elapsed_s
from recflow.rollout.moves import Proposal, move
from recflow.rollout.silence import ROUTED_WITHIN, end_of_wait, had_traffic_for, silence_of_candidate, waiting_reason

S = ReleaseState
V = Verdict
_ON_INCONCLUSIVE = {"keep_stable": S.ROLLING_BACK, "promote": S.PROMOTING, "hold": S.HELD}


def canary(context: Context) -> Proposal:
    """A share of users meets the candidate beside an equal control, step by step."""
    release, step = context.release, canary_step(context.release)
    elapsed = elapsed_s(release, context.now)
    recent = _health(context, context.recent_start, step.min_requests)
    if recent.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=recent)
    whole = _health(context, context.state_start, step.min_requests)
    if whole.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=whole)
    if off := _traffic_off_plan(context):
        return move(release, S.HELD, off)
    if whole.passed and had_traffic_for(context, step.bake_seconds):
        to, following = after_canary(release)
        return move(release, to, step=following, decision=whole)
    if event := end_of_wait(context, whole, step.bake_seconds):
        return event
    told = f"canary at {step.percent:g} % for {elapsed:.0f} of {step.bake_seconds:.0f} s"
    return f"{told}: {waiting_reason(context, whole, step.bake_seconds)}"


def judging(context: Context) -> Proposal:
    """Two halves of the users, judged by what they do; an A/A likewise."""
    release = context.release
    if is_aa(release.release_id):
        return _measuring(context)
    decision = _judging_health(context)
    if off := "" if decision.verdict is V.FAIL else _traffic_off_plan(context, with_users=False):
        return move(release, S.HELD, off)
    if decision.passed or (decision.numbers.get("thin") and not decision.numbers.get("hold")):
        decision = _with_changes(context.judge(context.recipe, release, context.now), release)
    if event := _verdict(release, decision):
        return event
    judging = release.plan.judging
    longest_s = judging.max_judging_hours * 3600
    if not had_traffic_for(context, longest_s, slot_s=3600):
        return f"judging: {waiting_reason(context, decision, longest_s)}"
    reason = f"no verdict after {judging.max_judging_hours:g} hours ({judging.on_inconclusive}): {_first(decision)}"
    return move(release, _ON_INCONCLUSIVE[judging.on_inconclusive], reason, decision=decision)


def _with_changes(decision: Decision, release: OpenRelease) -> Decision:
    """The decision on a change names what was changed."""
    if not release.changes:
        return decision
    return decision.model_copy(update={"numbers": {**decision.numbers, "changes": [*release.changes]}})


def _measuring(context: Context) -> Proposal:
    """An A/A ends with what its judge has found, and changes nothing; the health of stable is the watch's affair."""
    release = context.release
    decision = context.judge(context.recipe, release, context.now)
    over = elapsed_s(release, context.now) >= release.plan.judging.max_judging_hours * 3600
    if decision.verdict is V.INCONCLUSIVE and not over:
        return f"A/A: {_first(decision)}"
    return move(release, S.MEASURED, decision=decision)


def _verdict(release: OpenRelease, decision: Decision) -> LedgerEvent | None:
    """The move that a decision asks for; None when it is not decided yet.

    An experiment that can no longer pass ends at once, and is never promoted: its guardrail was judged, and not passed.
    """
    if hold := decision.numbers.get("hold"):
        return move(release, S.HELD, str(hold), decision=decision)
    if decision.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=decision)
    if settled := decision.numbers.get("settled"):
        held = release.plan.judging.on_inconclusive == "hold"
        return move(release, S.HELD if held else S.ROLLING_BACK, f"undecided for good: {settled}", decision=decision)
    return move(release, S.PROMOTING, decision=decision) if decision.passed else None


def _first(decision: Decision) -> str:
    return decision.reasons[0] if decision.reasons else str(decision.verdict)


def _judging_health(context: Context) -> Decision:
    """Health while shoppers are split in halves; silence counts only where the control is not silent too."""
    plan = context.release.plan
    least = plan.canary[-1].min_requests if plan.canary else plan.shadow.min_requests
    decision = _health(context, context.recent_start, max(1, least))
    alone = silence_of_candidate(context) if decision.numbers.get("thin") else ""
    if alone:
        return Decision(gate="health", verdict=V.INCONCLUSIVE, reasons=(alone,), numbers={"hold": alone})
    return decision


def _health(context: Context, start: datetime, min_requests: int) -> Decision:
    treatment, control = (context.reading(version, start) for version in context.arms)
    return judge_health(context.release.plan.health, treatment, control, min_requests)


def _traffic_off_plan(context: Context, *, with_users: bool = True) -> str:
    """Why the arms' traffic is not as planned; the time in which gateways took the routes does not count.

    The users of two halves are judged by the online gate's sample ratio.
    """
    table = routes(context.name, context.state)
    start = min(context.release.entered_at + ROUTED_WITHIN, context.now)
    metrics = context.services.metrics
    seen = metrics.shares(context.name, experiment=table.experiment, start=start, end=context.now)
    return traffic_off_plan(table.shares, seen, with_users=with_users)
