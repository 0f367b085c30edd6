"""What is due next: a release is opened, makes way, or does the step of the state it stands in.

One function a state collects the evidence that is due and proposes the next event, or says why it waits.
"""

from collections.abc import Callable

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.ledger import LedgerEvent, OpenRelease, ReleaseState
from recflow.domain.releases import LIVE, WAITING, is_return
from recflow.errors import ArtifactCorrupt, ModelWontLoad, ServerUnavailable
from recflow.rollout.arms import canary, judging
from recflow.rollout.context import Context
from recflow.rollout.due import elapsed_s, moves_forward, opening_halt_reason
from recflow.rollout.loading import fetch, keep_loaded, keep_stable_loaded, refuse_to_load
from recflow.rollout.moves import Proposal, move, open_waiting, superseding_event
from recflow.rollout.shadow import shadow

S = ReleaseState
_NEEDS_NO_SERVER = frozenset({S.ROLLING_BACK, S.ROLLED_BACK, S.HELD, S.MEASURED})


def next_step(context: Context) -> Proposal:
    """The event that is due for the line, or why nothing is; loads what the server lacks for it."""
    stop = context.stop
    release = context.state.release
    if release is None:
        return _open(context)
    if release.state in WAITING and stop:
        return stop
    if event := superseding_event(context.state):
        return event
    proposal = _propose(context, release)
    if isinstance(proposal, LedgerEvent) and stop and moves_forward(proposal):
        return stop
    return proposal


def _open(context: Context) -> Proposal:
    keep_stable_loaded(context)
    recipe, state = context.recipe, context.state
    if state.waiting is None:
        return "nothing waits to be released"
    stop = opening_halt_reason(state, recipe.rollout, context.now, paused=context.paused)
    return stop or open_waiting(recipe, state, state.waiting, context.services.artifacts)


def _propose(context: Context, release: OpenRelease) -> Proposal:
    """What is due once the server holds what it must. The ways back do not wait for a server that is down."""
    try:
        return keep_loaded(context, release) or _STEPS[release.state](context)
    except ServerUnavailable:
        if release.state not in LIVE | {S.ROLLING_BACK}:
            raise
        proposal = _STEPS[release.state](context)
        if isinstance(proposal, str) or proposal.to not in _NEEDS_NO_SERVER:
            raise
        return proposal


def _packaged(context: Context) -> Proposal:
    decision = _check(context)
    if decision.passed:
        return move(context.release, S.CHECKED, decision=decision)
    overdue = elapsed_s(context.release, context.now) >= context.release.plan.hold_grace_seconds
    if decision.verdict is Verdict.FAIL or overdue:
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
            serving=context.serving,
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
    S.SHADOW: shadow,
    S.CANARY: canary,
    S.JUDGING: judging,
    S.PROMOTING: _promoting,
    S.ROLLING_BACK: _rolling_back,
    S.HELD: _held,
}
