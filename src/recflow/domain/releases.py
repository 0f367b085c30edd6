"""The fold of the ledger: which steps are allowed, and what the state is after them."""

from collections.abc import Callable, Iterable
from datetime import datetime

from recflow.artifacts.ledger import (
    EventKind,
    LedgerEntry,
    LedgerEvent,
    LedgerState,
    OpenRelease,
    ReleaseState,
    Served,
)
from recflow.errors import ReleaseRefused

S = ReleaseState
_LIVE_EXITS = {S.ROLLING_BACK, S.HELD}

ALLOWED: dict[ReleaseState, set[ReleaseState]] = {
    S.PACKAGED: {S.CHECKED, S.REJECTED, S.SUPERSEDED, S.ABORTED},
    S.CHECKED: {S.AWAITING_APPROVAL, S.SHADOW, S.SUPERSEDED, S.ABORTED},
    S.AWAITING_APPROVAL: {S.SHADOW, S.REJECTED, S.SUPERSEDED, S.ABORTED},
    S.SHADOW: {S.CANARY, S.JUDGING, S.PROMOTING} | _LIVE_EXITS,
    S.CANARY: {S.CANARY, S.JUDGING, S.PROMOTING} | _LIVE_EXITS,
    S.JUDGING: {S.PROMOTING} | _LIVE_EXITS,
    S.PROMOTING: {S.STABLE} | _LIVE_EXITS,
    S.HELD: {S.SHADOW, S.CANARY, S.JUDGING, S.PROMOTING, S.ROLLING_BACK},
    S.ROLLING_BACK: {S.ROLLED_BACK},
}
# An A/A moves no shopper to another version: there is nothing to hold, to roll back or to promote.
ALLOWED_IN_AA: dict[ReleaseState, set[ReleaseState]] = {S.JUDGING: {S.MEASURED, S.SUPERSEDED, S.ABORTED}}
LIVE = frozenset({S.SHADOW, S.CANARY, S.JUDGING, S.PROMOTING, S.HELD})
_MET_STATES = frozenset({S.CANARY, S.JUDGING, S.PROMOTING})
_TOLD_STATES = frozenset({S.HELD, S.ROLLING_BACK, S.REJECTED, S.AWAITING_APPROVAL})
WAITING = frozenset({S.PACKAGED, S.CHECKED, S.AWAITING_APPROVAL})
RETURN, AA = "return", "aa"


def is_return(release_id: str) -> bool:
    """Whether the release is a return to the previous version in one step."""
    return release_id.startswith(f"{RETURN}-")


def is_aa(release_id: str) -> bool:
    """Whether the release is an A/A: both arms of its judging are served by stable."""
    return release_id.startswith(f"{AA}-")


def challenger(state: LedgerState) -> OpenRelease | None:
    """The open release that may replace stable; an A/A does not."""
    release = state.release
    return None if release is None or is_aa(release.release_id) else release


def fold(state: LedgerState, event: LedgerEvent, *, seq: int, at: datetime) -> LedgerState:
    """The state after `event`; ReleaseRefused when the event is not allowed now."""
    after = _keep_needed(_FOLDS[event.kind](state, event, at)).model_copy(update={"seq": seq})
    if must_be_told(event):
        after = after.model_copy(update={"untold": seq})
    return after.model_copy(update={"epoch": seq}) if _routes_differ(state, after) else after


def must_be_told(event: LedgerEvent) -> bool:
    """Whether a person gets a card: held, rejected, on the way back, waiting for approval, or returned in one step."""
    returned = event.kind is EventKind.OPENED and event.to is S.PROMOTING
    return returned or (event.kind is EventKind.MOVED and event.to in _TOLD_STATES)


def _adopted(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    if state.stable is not None:
        raise ReleaseRefused("a model cannot be adopted", expected="no stable yet", seen=state.stable.version)
    assert event.candidate is not None
    trained_through = event.candidate.trained_through
    newest = max(trained_through, state.newest_trained_through or trained_through)
    return state.model_copy(update={"stable": _served(event, at, "adopted"), "newest_trained_through": newest})


def _recorded(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    candidate = event.candidate
    assert candidate is not None
    newest = state.newest_trained_through
    if newest is not None and candidate.trained_through <= newest:
        raise ReleaseRefused(
            f"candidate {candidate.version} is not recorded",
            expected=f"an interval newer than {newest:%Y-%m-%d %H:%M}",
            seen=f"{candidate.trained_through:%Y-%m-%d %H:%M}",
            action="nothing: a backfill releases nothing",
        )
    return state.model_copy(update={"waiting": candidate, "newest_trained_through": candidate.trained_through})


def _refused(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    """A refusal is told and changes nothing: the day may be trained for again."""
    return state


def _opened(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    if state.release is not None:
        raise ReleaseRefused(
            "a second release was opened", expected="none open", seen=f"{state.release.release_id} is open"
        )
    assert event.candidate is not None and event.plan is not None and event.to is not None
    if is_aa(event.release_id):
        _refuse_aa_unless_stable_twice(state, event)
    release = OpenRelease(
        release_id=event.release_id,
        candidate=event.candidate,
        plan=event.plan,
        state=event.to,
        opened_at=at,
        entered_at=at,
        first=event.first,
        met=event.to in _MET_STATES,
        users=event.users,
        changes=event.changes,
        reason=event.reason,
    )
    claimed = state.waiting is not None and state.waiting.version == event.candidate.version
    return state.model_copy(update={"release": release, "waiting": None if claimed else state.waiting})


def _refuse_aa_unless_stable_twice(state: LedgerState, event: LedgerEvent) -> None:
    """ReleaseRefused unless the A/A starts judging, with both arms on stable, and no candidate waits."""
    assert event.candidate is not None
    stable = state.stable.version if state.stable else "no stable"
    if event.candidate.version != stable or event.to is not S.JUDGING or state.waiting is not None:
        waits = f", {state.waiting.version} waits" if state.waiting else ""
        raise ReleaseRefused(
            f"A/A {event.release_id} was opened",
            expected=f"{stable} in both arms of judging, and no candidate that waits",
            seen=f"{event.candidate.version} in {event.to}{waits}",
        )


def _moved(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    release = state.release
    if release is None or release.release_id != event.release_id:
        raise ReleaseRefused(f"release {event.release_id} was moved", expected="it is the open one", seen="it is not")
    assert event.to is not None
    refuse_unless_allowed(release, event.to)
    if event.to.terminal:
        return _ended(state, release, event.to, at)
    step = event.step if event.to is S.CANARY and release.state is not S.HELD else release.step
    _refuse_unroutable(state, release, event.to, step)
    moved = release.model_copy(
        update={
            "state": event.to,
            "step": step,
            "entered_at": at,
            "held_from": release.state if event.to is S.HELD else None,
            "met": release.met or event.to in _MET_STATES,
            "differences": event.differences or release.differences,
            "reason": event.reason,
        }
    )
    return state.model_copy(update={"release": moved})


def refuse_unless_allowed(release: OpenRelease, to: ReleaseState) -> None:
    """ReleaseRefused unless the machine has an arrow from the release's state to `to`."""
    allowed = (ALLOWED_IN_AA if is_aa(release.release_id) else ALLOWED)[release.state]
    if release.state is S.HELD:
        allowed = {S.ROLLING_BACK} | ({release.held_from} if release.held_from else set())
    if to not in allowed:
        raise ReleaseRefused(
            f"release {release.release_id} cannot go to {to}",
            expected=f"one of {', '.join(sorted(allowed))}",
            seen=f"{to} asked for in {release.state}",
        )


def _refuse_unroutable(state: LedgerState, release: OpenRelease, to: ReleaseState, step: int) -> None:
    """ReleaseRefused for a comparison without a control, and for a canary step that the plan does not have."""
    if to in {S.CANARY, S.JUDGING} and state.stable is None:
        raise ReleaseRefused(
            f"release {release.release_id} cannot go to {to}", expected="a stable to compare with", seen="none"
        )
    if to is S.CANARY and not 0 <= step < len(release.plan.canary):
        raise ReleaseRefused(
            f"release {release.release_id} cannot go to canary step {step}",
            expected=f"one of the plan's {len(release.plan.canary)} steps, from 0",
            seen=str(step),
        )


def _ended(state: LedgerState, release: OpenRelease, to: ReleaseState, at: datetime) -> LedgerState:
    over = state.model_copy(update={"release": None, "last_release_id": release.release_id, "last_state": to})
    candidate = release.candidate
    if to is not S.STABLE:
        return over.model_copy(update={"retiring": (*state.retiring, candidate.version)})
    served = Served(
        version=candidate.version,
        package=candidate.package,
        checkpoint=candidate.checkpoint,
        since=at,
        trained_through=candidate.trained_through,
        release_id=release.release_id,
    )
    again = state.stable is not None and state.stable.version == served.version
    previous = state.previous if again else state.stable
    leaving = (state.previous.version,) if state.previous else ()
    return over.model_copy(update={"stable": served, "previous": previous, "retiring": (*state.retiring, *leaving)})


def _keep_needed(state: LedgerState) -> LedgerState:
    """The state without retiring what serves, may be returned to, or is being released; each version once."""
    needed = {served.version for served in (state.stable, state.previous) if served}
    needed |= {state.release.candidate.version} if state.release else set()
    retiring = tuple(dict.fromkeys(version for version in state.retiring if version not in needed))
    return state.model_copy(update={"retiring": retiring})


def _unloaded(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    return state.model_copy(update={"retiring": tuple(v for v in state.retiring if v != event.version)})


def _frozen(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    return state.model_copy(update={"frozen": event.reason if event.kind is EventKind.FROZEN else ""})


def _told(state: LedgerState, event: LedgerEvent, at: datetime) -> LedgerState:
    return state.model_copy(update={"untold": 0})


def _served(event: LedgerEvent, at: datetime, release_id: str) -> Served:
    candidate = event.candidate
    assert candidate is not None
    return Served(
        version=candidate.version,
        package=candidate.package,
        checkpoint=candidate.checkpoint,
        since=at,
        trained_through=candidate.trained_through,
        release_id=release_id,
    )


_FOLDS: dict[EventKind, Callable[[LedgerState, LedgerEvent, datetime], LedgerState]] = {
    EventKind.ADOPTED: _adopted,
    EventKind.CANDIDATE_RECORDED: _recorded,
    EventKind.CANDIDATE_REFUSED: _refused,
    EventKind.OPENED: _opened,
    EventKind.MOVED: _moved,
    EventKind.UNLOADED: _unloaded,
    EventKind.FROZEN: _frozen,
    EventKind.UNFROZEN: _frozen,
    EventKind.TOLD: _told,
}


def _routes_differ(before: LedgerState, after: LedgerState) -> bool:
    return _routed(before) != _routed(after)


def _routed(state: LedgerState) -> tuple[object, ...]:
    release = state.release
    stage = None if release is None else (release.release_id, release.held_from or release.state, release.step)
    return (state.stable and state.stable.version, stage)


def stable_as_of(entries: Iterable[LedgerEntry], moment: datetime) -> Served | None:
    """The stable that served at `moment`, from entries newest first; None before the first one."""
    for entry in entries:
        if entry.at <= moment:
            return entry.state.stable
    return None
