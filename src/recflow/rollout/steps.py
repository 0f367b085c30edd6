"""One function a state: collects the evidence that is due and proposes the next event, or says why it waits."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.ledger import EventKind, LedgerEvent, OpenRelease, ReleaseState
from recflow.artifacts.refs import Ref, RefKind
from recflow.domain.golden import GoldenRequest, agrees, is_strict, read_golden
from recflow.domain.releases import is_aa, is_return
from recflow.domain.routes import routes
from recflow.errors import ArtifactCorrupt, ModelWontLoad
from recflow.protocols import golden_items
from recflow.rollout.agreement import judge_agreement, read_compared
from recflow.rollout.context import Context
from recflow.rollout.decide import judge_health, traffic_off_plan
from recflow.rollout.differences import publish_differences
from recflow.rollout.due import after_canary, after_shadow, canary_step, elapsed_s
from recflow.rollout.silence import ROUTED_WITHIN, outlasted, silent, silent_alone

S = ReleaseState
V = Verdict
_TIMEOUT_S = 5.0
Proposal = LedgerEvent | str


def propose(context: Context) -> Proposal:
    """The event that is due for the open release, or why nothing is."""
    return _STEPS[context.release.state](context)


def move(
    release: OpenRelease, to: ReleaseState, reason: str = "", *, step: int = 0, decision: Decision | None = None
) -> LedgerEvent:
    """The event that moves the release."""
    return LedgerEvent(
        kind=EventKind.MOVED,
        release_id=release.release_id,
        to=to,
        step=step,
        reason=reason or (decision.reasons[0] if decision and decision.reasons else ""),
        decision=decision,
    )


def load(context: Context, version: str, package: Ref) -> None:
    """Fetch, verify and load a version; loading what is loaded is fine."""
    context.services.server.load(context.name, version, fetch(context, package))


def fetch(context: Context, package: Ref) -> Path:
    """A package's verified folder; ArtifactCorrupt is the store's, since a spoilt local copy is fetched anew once."""
    package.expect(RefKind.PACKAGE)
    try:
        return context.services.artifacts.fetch(package)
    except ArtifactCorrupt:
        return context.services.artifacts.fetch(package)


def refuse_to_load(error: ArtifactCorrupt | ModelWontLoad) -> Decision:
    """The decision that a package which cannot be loaded stands for."""
    return Decision(gate="infra_check", verdict=V.FAIL, reasons=(error.what,), numbers={"seen": error.seen[:600]})


def _packaged(context: Context) -> Proposal:
    decision = _check(context)
    if decision.passed:
        return move(context.release, S.CHECKED, decision=decision)
    overdue = elapsed_s(context.release, context.now) >= context.release.plan.hold_grace_seconds
    if decision.verdict is V.FAIL or overdue:
        return move(context.release, S.REJECTED, decision=decision)
    return f"infra check is tried again: {'; '.join(decision.reasons)}"


def _check(context: Context) -> Decision:
    services, candidate, stable = context.services, context.release.candidate, context.state.stable
    try:
        folder = fetch(context, candidate.package)
        return context.check(
            services.server,
            context.name,
            candidate.version,
            folder,
            baseline=stable.version if stable else "",
            limits=context.release.plan.infra,
            clock=services.clock,
        )
    except (ArtifactCorrupt, ModelWontLoad) as error:
        return refuse_to_load(error)


def _checked(context: Context) -> Proposal:
    release = context.release
    if release.plan.approval or (release.first and release.plan.approve_first):
        return move(release, S.AWAITING_APPROVAL, "first_release" if release.first else "the plan asks for approval")
    return move(release, S.SHADOW, release.reason)


def _awaiting(context: Context) -> Proposal:
    return f"a person must approve: `recflow release approve {context.name}`"


def _shadow(context: Context) -> Proposal:
    release, plan = context.release, context.release.plan
    elapsed = elapsed_s(release, context.now)
    decision = _golden_traffic(context) if release.first else _mirrored_traffic(context)
    if decision.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=decision)
    if decision.passed and elapsed >= plan.shadow.min_seconds and _met_long_enough(context):
        return _after_shadow(context, decision)
    if event := _unproven(context, decision, plan.shadow.min_seconds):
        return event
    told = _why_it_waits(context, decision, plan.shadow.min_seconds)
    return f"shadow for {elapsed:.0f} of at least {plan.shadow.min_seconds:.0f} s: {told}"


def _met_long_enough(context: Context) -> bool:
    """Whether shoppers came for the planned time; a first release has none, and a plan may ask for none."""
    shadow = context.release.plan.shadow
    return context.release.first or shadow.min_requests == 0 or outlasted(context, shadow.min_seconds)


def _after_shadow(context: Context, health: Decision) -> Proposal:
    """A healthy candidate goes on, unless it orders otherwise than stable: then a person is asked, once."""
    release = context.release
    to, step = after_shadow(release)
    if release.first:
        return move(release, to, "first_release", step=step, decision=health)
    compared = read_compared(context.services.events, context.name, context.state, context.now)
    agreement = judge_agreement(release.plan, compared, accepted=_may_differ(release))
    findings = {"findings": (*agreement.findings, *health.findings)}
    if agreement.verdict is V.FAIL:
        held = move(release, S.HELD, decision=agreement.model_copy(update=findings))
        return held.model_copy(update={"differences": publish_differences(context, compared)})
    decision = health.model_copy(update=findings | {"reasons": (*agreement.reasons, *health.reasons)})
    return move(release, to, step=step, decision=decision)


def _may_differ(release: OpenRelease) -> bool:
    """Whether a person has accepted that it orders otherwise: in shadow, or as a change that is judged as a refresh."""
    return release.differences is not None or bool(release.changes)


def _golden_traffic(context: Context) -> Decision:
    """The first release has no shoppers to mirror: its own golden requests, on the server that will serve them."""
    candidate, atol = context.release.candidate, context.release.plan.infra.atol
    folder = fetch(context, candidate.package)
    requests, strict = read_golden(folder), is_strict(folder)
    wrong = [
        request for request in requests if not agrees(request.scores, _score(context, request), atol, strict=strict)
    ]
    reason = f"{len(wrong)} of {len(requests)} golden answers differ by more than {atol}"
    return Decision(gate="shadow", verdict=V.FAIL if wrong else V.PASS, reasons=(reason,))


def _score(context: Context, request: GoldenRequest) -> tuple[float, ...]:
    version, items = context.release.candidate.version, golden_items(request)
    return context.services.server.score(context.name, version, request.query, items, timeout_s=_TIMEOUT_S)


def _mirrored_traffic(context: Context) -> Decision:
    release = context.release
    reading = context.reading(release.candidate.version, context.state_start)
    if release.plan.shadow.min_requests == 0 == reading.requests:
        return Decision(gate="shadow", verdict=V.PASS, reasons=("the plan asks for no mirrored requests",))
    return judge_health(release.plan.health, reading, None, max(1, release.plan.shadow.min_requests))


def _canary(context: Context) -> Proposal:
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
    if whole.passed and outlasted(context, step.bake_seconds):
        to, following = after_canary(release)
        return move(release, to, step=following, decision=whole)
    if event := _unproven(context, whole, step.bake_seconds):
        return event
    told = f"canary at {step.percent:g} % for {elapsed:.0f} of {step.bake_seconds:.0f} s"
    return f"{told}: {_why_it_waits(context, whole, step.bake_seconds)}"


def _unproven(context: Context, decision: Decision, planned_s: float) -> LedgerEvent | None:
    """The end of a wait for evidence: the candidate alone is silent, or the grace time is over.

    Only time with traffic counts: a night in which nobody came is no evidence against a candidate.
    """
    release = context.release
    if release.first:
        return None
    if alone := silent_alone(context):
        return move(release, S.HELD, alone)
    deadline_s = planned_s + release.plan.health.no_data_grace_seconds
    if decision.passed or not outlasted(context, deadline_s):
        return None
    thin = release.state is S.SHADOW or decision.numbers.get("thin")
    return move(release, S.HELD if thin else S.ROLLING_BACK, decision=decision)


def _why_it_waits(context: Context, decision: Decision, planned_s: float) -> str:
    if silence := "" if context.release.first else silent(context):
        return silence
    longer = elapsed_s(context.release, context.now) >= planned_s
    return "; ".join((*decision.reasons, *(["time in which nobody came does not count"] if longer else [])))


def _judging(context: Context) -> Proposal:
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
    if not outlasted(context, longest_s, slot_s=3600):
        return f"judging: {_why_it_waits(context, decision, longest_s)}"
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


_ON_INCONCLUSIVE = {"keep_stable": S.ROLLING_BACK, "promote": S.PROMOTING, "hold": S.HELD}


def _first(decision: Decision) -> str:
    return decision.reasons[0] if decision.reasons else str(decision.verdict)


def _judging_health(context: Context) -> Decision:
    """Health while shoppers are split in halves; silence counts only where the control is not silent too."""
    plan = context.release.plan
    least = plan.canary[-1].min_requests if plan.canary else plan.shadow.min_requests
    decision = _health(context, context.recent_start, max(1, least))
    alone = silent_alone(context) if decision.numbers.get("thin") else ""
    if alone:
        return Decision(gate="health", verdict=V.INCONCLUSIVE, reasons=(alone,), numbers={"hold": alone})
    return decision


def _promoting(context: Context) -> Proposal:
    return _confirm(context, S.STABLE) or _lagging(context)


def _lagging(context: Context) -> Proposal:
    lagging = ", ".join(context.services.router.acknowledged(context.name, context.state.epoch).lagging)
    reason = f"gateways have not taken epoch {context.state.epoch}: {lagging}"
    grace = context.release.plan.health.no_data_grace_seconds
    return move(context.release, S.HELD, reason) if elapsed_s(context.release, context.now) >= grace else reason


def _rolling_back(context: Context) -> Proposal:
    return _confirm(context, S.ROLLED_BACK) or f"gateways have not all taken epoch {context.state.epoch}"


def _confirm(context: Context, to: ReleaseState) -> LedgerEvent | None:
    seen = context.services.router.acknowledged(context.name, context.state.epoch)
    return move(context.release, to, context.release.reason) if seen.complete else None


def _held(context: Context) -> Proposal:
    """A return waits for a person: time alone sends nobody back to the version that was left."""
    grace = context.release.plan.hold_grace_seconds
    if elapsed_s(context.release, context.now) >= grace and not is_return(context.release.release_id):
        return move(
            context.release, S.ROLLING_BACK, f"held for {grace:.0f} s and nobody came: {context.release.reason}"
        )
    return f"held: {context.release.reason}"


_STEPS: dict[ReleaseState, Callable[[Context], Proposal]] = {
    S.PACKAGED: _packaged,
    S.CHECKED: _checked,
    S.AWAITING_APPROVAL: _awaiting,
    S.SHADOW: _shadow,
    S.CANARY: _canary,
    S.JUDGING: _judging,
    S.PROMOTING: _promoting,
    S.ROLLING_BACK: _rolling_back,
    S.HELD: _held,
}


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
