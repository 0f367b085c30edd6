"""Shadow: a candidate answers shoppers' requests beside stable, unseen, or, as a first release, its golden requests."""

from functools import partial

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.ledger import OpenRelease, ReleaseState
from recflow.domain.golden import read_golden
from recflow.rollout.agreement import judge_agreement, read_compared
from recflow.rollout.context import Context
from recflow.rollout.decide import judge_health
from recflow.rollout.differences import publish_differences
from recflow.rollout.due import after_shadow, elapsed_s
from recflow.rollout.loading import fetch
from recflow.rollout.moves import Proposal, move
from recflow.rollout.silence import end_of_wait, had_traffic_for, waiting_reason
from recflow.tasks.base import is_strict

S = ReleaseState
V = Verdict
_TIMEOUT_S = 5.0


def shadow(context: Context) -> Proposal:
    """Onwards when it met requests long enough and orders them much as stable does."""
    release, plan = context.release, context.release.plan
    elapsed = elapsed_s(release, context.now)
    decision = _golden_traffic(context) if release.first else _mirrored_traffic(context)
    if decision.verdict is V.FAIL:
        return move(release, S.ROLLING_BACK, decision=decision)
    if decision.passed and elapsed >= plan.shadow.min_seconds and _met_long_enough(context):
        return _go_on(context, decision)
    if event := end_of_wait(context, decision, plan.shadow.min_seconds):
        return event
    told = waiting_reason(context, decision, plan.shadow.min_seconds)
    return f"shadow for {elapsed:.0f} of at least {plan.shadow.min_seconds:.0f} s: {told}"


def _met_long_enough(context: Context) -> bool:
    """Whether shoppers came for the planned time; a first release has none, and a plan may ask for none."""
    shadow = context.release.plan.shadow
    return context.release.first or shadow.min_requests == 0 or had_traffic_for(context, shadow.min_seconds)


def _go_on(context: Context, health: Decision) -> Proposal:
    """A healthy candidate goes on, unless it orders otherwise than stable: then a person is asked, once."""
    release = context.release
    to, step = after_shadow(release)
    if release.first:
        return move(release, to, "first_release", step=step, decision=health)
    compared = read_compared(context.services.events, context.name, context.state, context.now)
    agreement = judge_agreement(release.plan, compared, context.serving, accepted=_may_differ(release))
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
    candidate, atol, serving = context.release.candidate, context.release.plan.infra.atol, context.serving
    folder = fetch(context, candidate.package)
    requests, strict = read_golden(folder, serving.golden), is_strict(serving, folder)
    infer = partial(context.services.server.infer, context.name, candidate.version, timeout_s=_TIMEOUT_S)
    wrong = [
        golden for golden in requests if not serving.agree(golden.outputs, infer(golden.inputs), atol, strict=strict)
    ]
    reason = f"{len(wrong)} of {len(requests)} golden answers differ by more than {atol}"
    return Decision(gate="shadow", verdict=V.FAIL if wrong else V.PASS, reasons=(reason,))


def _mirrored_traffic(context: Context) -> Decision:
    release = context.release
    reading = context.reading(release.candidate.version, context.state_start)
    if release.plan.shadow.min_requests == 0 == reading.requests:
        return Decision(gate="shadow", verdict=V.PASS, reasons=("the plan asks for no mirrored requests",))
    return judge_health(release.plan.health, reading, None, max(1, release.plan.shadow.min_requests))
