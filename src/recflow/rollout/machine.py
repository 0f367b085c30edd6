"""The release machine: `advance` does the next due step of a recipe's release, once, whoever calls it and how often.

Every effect is intent, act, confirm: the ledger's entry says what is wanted, the act on the server is idempotent, and
the next entry, fenced by the sequence number, says that it is done. A crash anywhere leaves a ledger from which the
next call goes on. Telling a person is done at least once, everything else exactly once in the ledger.
"""

import contextlib
from dataclasses import dataclass, replace

from recflow.artifacts.ledger import EventKind, LedgerEntry, LedgerEvent, LedgerState, OpenRelease, ReleaseState
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.domain.releases import LIVE, WAITING, is_aa
from recflow.domain.routes import routes
from recflow.errors import (
    ArtifactCorrupt,
    LedgerConflict,
    ModelWontLoad,
    PermanentError,
    ServerUnavailable,
    TemporaryError,
)
from recflow.rollout.cards import card_of
from recflow.rollout.conflicts import retry_on_conflict
from recflow.rollout.context import Context
from recflow.rollout.due import moves_forward, next_due, opening_halted
from recflow.rollout.infra_check import check as infra_check
from recflow.rollout.opening import make_way, open_waiting
from recflow.rollout.services import InfraCheck, OnlineJudge, ReleaseServices
from recflow.rollout.steps import Proposal, load, move, propose, refuse_to_load

S = ReleaseState
CHAMPION = "champion"
_NEEDS_NO_SERVER = frozenset({S.ROLLING_BACK, S.ROLLED_BACK, S.HELD, S.MEASURED})


@dataclass(frozen=True)
class Advanced:
    """What a call of `advance` did: whether the ledger moved, the state now, why, and when to call again (seconds).

    `wait_s` is None when only a new candidate or a person can change anything.
    """

    changed: bool
    state: LedgerState
    reason: str
    wait_s: float | None


def advance(
    recipe: Recipe,
    services: ReleaseServices,
    judge: OnlineJudge,
    check: InfraCheck = infra_check,
    *,
    paused: bool = False,
) -> Advanced:
    """Do the next due step of the recipe's release, if one is due; `paused`: only on a way back.

    Raises ServerUnavailable and other temporary errors with the release left where it is, LedgerConflict when other
    writers came first several times in a row.
    """
    context = Context(recipe, services, judge, check, None, services.clock.now(), paused)
    return retry_on_conflict(lambda: _advance(context))


def _advance(context: Context) -> Advanced:
    context = replace(context, head=context.services.ledger.head(context.name))
    if context.state.untold:
        return _done(context, _tell(context, _untold_entry(context)))
    proposal = _next(context)
    if isinstance(proposal, str):
        return _settle(context, proposal)
    entry = _append(context, proposal)
    if entry.state.untold:
        _tell(context, entry)
    if proposal.to is not None and proposal.to.terminal:
        _project(context, entry.state)
    return _done(context, entry)


def _done(context: Context, entry: LedgerEntry) -> Advanced:
    head = context.services.ledger.head(context.name) or entry
    event = entry.event
    reason = f"{event.to or event.kind}: {event.reason}" if event.reason else str(event.to or event.kind)
    return Advanced(True, head.state, reason, _due(context, head.state) if head.state.release else 0.0)


def _due(context: Context, state: LedgerState) -> float | None:
    return next_due(state, context.recipe.rollout, context.now)


def _next(context: Context) -> Proposal:
    stop = context.stop
    release = context.state.release
    if release is None:
        return _open(context)
    if release.state in WAITING and stop:
        return stop
    if event := make_way(context.state):
        return event
    proposal = _propose(context, release)
    if isinstance(proposal, LedgerEvent) and stop and moves_forward(proposal):
        return stop
    return proposal


def _propose(context: Context, release: OpenRelease) -> Proposal:
    """What is due once the server holds what it must. The ways back do not wait for a server that is down."""
    try:
        return _keep_loaded(context, release) or propose(context)
    except ServerUnavailable:
        if release.state not in LIVE | {S.ROLLING_BACK}:
            raise
        proposal = propose(context)
        if isinstance(proposal, str) or proposal.to not in _NEEDS_NO_SERVER:
            raise
        return proposal


def _open(context: Context) -> Proposal:
    _keep_stable_loaded(context)
    recipe, state = context.recipe, context.state
    if state.waiting is None:
        return "nothing waits to be released"
    stop = opening_halted(state, recipe.rollout, context.now, paused=context.paused)
    return stop or open_waiting(recipe, state, state.waiting, context.services.artifacts)


def _keep_loaded(context: Context, release: OpenRelease) -> LedgerEvent | None:
    """Load what routes name, or will name next, and the server has lost; the event when the candidate cannot be.

    A stable that cannot be loaded stops nothing: a release, a return above all, may be the way out of it.
    """
    with contextlib.suppress(PermanentError):
        _keep_stable_loaded(context)
    if release.state in (S.PACKAGED, S.AWAITING_APPROVAL, S.ROLLING_BACK) or is_aa(release.release_id):
        return None
    candidate = release.candidate
    if candidate.version in context.services.server.loaded(context.name):
        return None
    try:
        load(context, candidate.version, candidate.package)
    except (ArtifactCorrupt, ModelWontLoad) as error:
        to = S.REJECTED if release.state is S.CHECKED else S.ROLLING_BACK
        return move(release, to, decision=refuse_to_load(error))
    return None


def _keep_stable_loaded(context: Context) -> None:
    """Stable must answer; the previous one is kept warm for a one-step return, as far as it still can be loaded."""
    stable, previous = context.state.stable, context.state.previous
    if stable is None:
        return
    loaded = context.services.server.loaded(context.name)
    if stable.version not in loaded:
        load(context, stable.version, stable.package)
    if previous is not None and previous.version not in loaded:
        with contextlib.suppress(PermanentError):
            load(context, previous.version, previous.package)


def _settle(context: Context, reason: str) -> Advanced:
    """Nothing moves: unload what no route names, and repair the registry from the ledger."""
    if entry := _retire(context):
        return _done(context, entry)
    if context.state.release is None:
        _project(context, context.state)
    return Advanced(False, context.state, reason, _due(context, context.state))


def _retire(context: Context) -> LedgerEntry | None:
    """Unload one version that nobody needs, once every live gateway routes without it."""
    services, state = context.services, context.state
    unneeded = _unneeded(context)
    if not unneeded or not services.router.acknowledged(context.name, state.epoch).complete:
        return None
    if services.ledger.head(context.name) != context.head:
        raise LedgerConflict(f"{unneeded[0]} is not unloaded yet", expected=f"entry {state.seq}", seen="a newer one")
    services.server.unload(context.name, unneeded[0])
    return _append(context, LedgerEvent(kind=EventKind.UNLOADED, version=unneeded[0]))


def _unneeded(context: Context) -> list[str]:
    """Retiring versions; between releases also what a caller loaded after it had been overtaken."""
    state = context.state
    in_use = {*routes(context.name, state).versions, state.previous.version if state.previous else ""}
    found = list(state.retiring)
    if state.release is None and state.stable is not None:
        found += [version for version in context.services.server.loaded(context.name) if version not in found]
    return [version for version in found if version not in in_use]


def _project(context: Context, state: LedgerState) -> None:
    """Point the registry's `champion` at stable. It is a projection for people: its outage stops no release."""
    if state.stable is None:
        return
    registry, version, package = context.services.registry, state.stable.version, state.stable.package
    with contextlib.suppress(TemporaryError):
        if registry.aliases(context.name).get(CHAMPION) != version:
            _point(context, version, package)


def _point(context: Context, version: str, package: Ref) -> None:
    context.services.registry.register(context.name, version, package)
    context.services.registry.set_alias(context.name, CHAMPION, version)


def _untold_entry(context: Context) -> LedgerEntry:
    entries = context.services.ledger.entries(context.name)
    return next(entry for entry in entries if entry.seq == context.state.untold)


def _tell(context: Context, entry: LedgerEntry) -> LedgerEntry:
    context.services.notifier.notify(card_of(entry))
    head = context.services.ledger.head(context.name)
    if head is None or head.state.untold != entry.seq:
        return head or entry
    return context.services.ledger.append(context.name, LedgerEvent(kind=EventKind.TOLD), after=head)


def _append(context: Context, event: LedgerEvent) -> LedgerEntry:
    return context.services.ledger.append(context.name, event, after=context.head)
