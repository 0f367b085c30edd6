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
from recflow.rollout.due import halted, moves_forward, next_due
from recflow.rollout.infra_check import check as infra_check
from recflow.rollout.opening import make_way, open_waiting
from recflow.rollout.services import InfraCheck, OnlineJudge, ReleaseServices
from recflow.rollout.steps import Proposal, Turn, load, move, propose, refuse_to_load

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


def advance(recipe: Recipe, services: ReleaseServices, judge: OnlineJudge, check: InfraCheck = infra_check) -> Advanced:
    """Do the next due step of the recipe's release, if one is due.

    Raises ServerUnavailable and other temporary errors with the release left where it is, LedgerConflict when other
    writers came first several times in a row.
    """
    return retry_on_conflict(lambda: _advance(Turn(recipe, services, judge, check, None, services.clock.now())))


def _advance(turn: Turn) -> Advanced:
    turn = replace(turn, head=turn.services.ledger.head(turn.name))
    if turn.state.untold:
        return _done(turn, _tell(turn, _untold_entry(turn)))
    proposal = _next(turn)
    if isinstance(proposal, str):
        return _settle(turn, proposal)
    entry = _append(turn, proposal)
    if entry.state.untold:
        _tell(turn, entry)
    if proposal.to is not None and proposal.to.terminal:
        _project(turn, entry.state)
    return _done(turn, entry)


def _done(turn: Turn, entry: LedgerEntry) -> Advanced:
    head = turn.services.ledger.head(turn.name) or entry
    event = entry.event
    reason = f"{event.to or event.kind}: {event.reason}" if event.reason else str(event.to or event.kind)
    return Advanced(True, head.state, reason, _due(turn, head.state) if head.state.release else 0.0)


def _due(turn: Turn, state: LedgerState) -> float | None:
    return next_due(state, turn.recipe.rollout.blackouts, turn.now)


def _next(turn: Turn) -> Proposal:
    stop = halted(turn.state, turn.recipe.rollout.blackouts, turn.now)
    release = turn.state.release
    if release is None:
        return _open(turn, stop)
    if release.state in WAITING and stop:
        return stop
    if event := make_way(turn.state):
        return event
    proposal = _propose(turn, release)
    if isinstance(proposal, LedgerEvent) and stop and moves_forward(proposal):
        return stop
    return proposal


def _propose(turn: Turn, release: OpenRelease) -> Proposal:
    """What is due once the server holds what it must. The ways back do not wait for a server that is down."""
    try:
        return _keep_loaded(turn, release) or propose(turn)
    except ServerUnavailable:
        if release.state not in LIVE | {S.ROLLING_BACK}:
            raise
        proposal = propose(turn)
        if isinstance(proposal, str) or proposal.to not in _NEEDS_NO_SERVER:
            raise
        return proposal


def _open(turn: Turn, stop: str) -> Proposal:
    _keep_stable_loaded(turn)
    event = open_waiting(turn.recipe, turn.state)
    return "nothing waits to be released" if event is None else stop or event


def _keep_loaded(turn: Turn, release: OpenRelease) -> LedgerEvent | None:
    """Load what routes name, or will name next, and the server has lost; the event when the candidate cannot be.

    A stable that cannot be loaded stops nothing: a release, a return above all, may be the way out of it.
    """
    with contextlib.suppress(PermanentError):
        _keep_stable_loaded(turn)
    if release.state in (S.PACKAGED, S.AWAITING_APPROVAL, S.ROLLING_BACK) or is_aa(release.release_id):
        return None
    candidate = release.candidate
    if candidate.version in turn.services.server.loaded(turn.name):
        return None
    try:
        load(turn, candidate.version, candidate.package)
    except (ArtifactCorrupt, ModelWontLoad) as error:
        to = S.REJECTED if release.state is S.CHECKED else S.ROLLING_BACK
        return move(release, to, decision=refuse_to_load(error))
    return None


def _keep_stable_loaded(turn: Turn) -> None:
    """Stable must answer; the previous one is kept warm for a one-step return, as far as it still can be loaded."""
    stable, previous = turn.state.stable, turn.state.previous
    if stable is None:
        return
    loaded = turn.services.server.loaded(turn.name)
    if stable.version not in loaded:
        load(turn, stable.version, stable.package)
    if previous is not None and previous.version not in loaded:
        with contextlib.suppress(PermanentError):
            load(turn, previous.version, previous.package)


def _settle(turn: Turn, reason: str) -> Advanced:
    """Nothing moves: unload what no route names, and repair the registry from the ledger."""
    if entry := _retire(turn):
        return _done(turn, entry)
    if turn.state.release is None:
        _project(turn, turn.state)
    return Advanced(False, turn.state, reason, _due(turn, turn.state))


def _retire(turn: Turn) -> LedgerEntry | None:
    """Unload one version that nobody needs, once every live gateway routes without it."""
    services, state = turn.services, turn.state
    unneeded = _unneeded(turn)
    if not unneeded or not services.router.acknowledged(turn.name, state.epoch).complete:
        return None
    if services.ledger.head(turn.name) != turn.head:
        raise LedgerConflict(f"{unneeded[0]} is not unloaded yet", expected=f"entry {state.seq}", seen="a newer one")
    services.server.unload(turn.name, unneeded[0])
    return _append(turn, LedgerEvent(kind=EventKind.UNLOADED, version=unneeded[0]))


def _unneeded(turn: Turn) -> list[str]:
    """Retiring versions; between releases also what a caller loaded after it had been overtaken."""
    state = turn.state
    in_use = {*routes(turn.name, state).versions, state.previous.version if state.previous else ""}
    found = list(state.retiring)
    if state.release is None and state.stable is not None:
        found += [version for version in turn.services.server.loaded(turn.name) if version not in found]
    return [version for version in found if version not in in_use]


def _project(turn: Turn, state: LedgerState) -> None:
    """Point the registry's `champion` at stable. It is a projection for people: its outage stops no release."""
    if state.stable is None:
        return
    registry, version, package = turn.services.registry, state.stable.version, state.stable.package
    with contextlib.suppress(TemporaryError):
        if registry.aliases(turn.name).get(CHAMPION) != version:
            _point(turn, version, package)


def _point(turn: Turn, version: str, package: Ref) -> None:
    turn.services.registry.register(turn.name, version, package)
    turn.services.registry.set_alias(turn.name, CHAMPION, version)


def _untold_entry(turn: Turn) -> LedgerEntry:
    entries = turn.services.ledger.entries(turn.name)
    return next(entry for entry in entries if entry.seq == turn.state.untold)


def _tell(turn: Turn, entry: LedgerEntry) -> LedgerEntry:
    turn.services.notifier.notify(card_of(entry))
    head = turn.services.ledger.head(turn.name)
    if head is None or head.state.untold != entry.seq:
        return head or entry
    return turn.services.ledger.append(turn.name, LedgerEvent(kind=EventKind.TOLD), after=head)


def _append(turn: Turn, event: LedgerEvent) -> LedgerEntry:
    return turn.services.ledger.append(turn.name, event, after=turn.head)
