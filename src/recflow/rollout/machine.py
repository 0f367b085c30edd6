"""The release machine: `advance` does the next due step of a recipe's release, once, whoever calls it and how often.

Every effect is intent, act, confirm: the ledger's entry says what is wanted, the act on the server is idempotent, and
the next entry, fenced by the sequence number, says that it is done. A crash anywhere leaves a ledger from which the
next call goes on. Telling a person is done at least once, everything else exactly once in the ledger.
"""

import contextlib
from dataclasses import dataclass, replace

from recflow.artifacts.ledger import EventKind, LedgerEntry, LedgerEvent, LedgerState
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.errors import LedgerConflict, TemporaryError
from recflow.rollout.cards import card_of
from recflow.rollout.conflicts import retry_on_conflict
from recflow.rollout.context import Context
from recflow.rollout.due import next_due
from recflow.rollout.infra_check import check as infra_check
from recflow.rollout.loading import unneeded
from recflow.rollout.services import InfraCheck, OnlineJudge, ReleaseServices
from recflow.rollout.steps import next_step

CHAMPION = "champion"


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
    proposal = next_step(context)
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
    found = unneeded(context)
    if not found or not services.router.acknowledged(context.name, state.epoch).complete:
        return None
    if services.ledger.head(context.name) != context.head:
        raise LedgerConflict(f"{found[0]} is not unloaded yet", expected=f"entry {state.seq}", seen="a newer one")
    services.server.unload(context.name, found[0])
    return _append(context, LedgerEvent(kind=EventKind.UNLOADED, version=found[0]))


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
