"""What a person, or the watch, may ask of a release. Each appends one entry; `advance` does the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from recflow.artifacts.ledger import (
    Candidate,
    EventKind,
    LedgerEntry,
    LedgerEvent,
    LedgerState,
    OpenRelease,
    ReleaseState,
    Served,
)
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.reasons import refuse_long
from recflow.domain.releases import LIVE, RETURN, WAITING, challenger, is_aa, is_return
from recflow.errors import ReleaseRefused
from recflow.protocols import Ledger
from recflow.rollout.candidates import version_id
from recflow.rollout.conflicts import retry_on_conflict
from recflow.rollout.due import halt_reason, opening_halt_reason
from recflow.rollout.loading import install
from recflow.rollout.moves import as_candidate, move, open_aa, open_waiting, release_id, superseding_event
from recflow.rollout.services import ReleaseServices
from recflow.storage import ArtifactStore

S = ReleaseState
_MOST_HOURS = 8760
Choose = Callable[[LedgerState], LedgerEvent | None]


@dataclass(frozen=True)
class Claimed:
    """The id of the open release; empty when there is none, and then `reason` says why."""

    release_id: str
    reason: str = ""


def claim(recipe: Recipe, ledger: Ledger, artifacts: ArtifactStore, now: datetime) -> Claimed:
    """The open release, or one opened now for the waiting candidate, which an A/A makes way for."""

    def choose(state: LedgerState) -> LedgerEvent | None:
        if state.release is not None or state.waiting is None or opening_halt_reason(state, recipe.rollout, now):
            return None
        return open_waiting(recipe, state, state.waiting, artifacts)

    _append(recipe.name, ledger, "", lambda state: None if challenger(state) else superseding_event(state))
    state = _append(recipe.name, ledger, "", choose)
    if state.release is not None:
        return Claimed(state.release.release_id)
    if state.waiting is not None:
        return Claimed("", f"{state.waiting.version} waits: {opening_halt_reason(state, recipe.rollout, now)}")
    return Claimed("", "no candidate is waiting and no release is open")


def start_aa(
    recipe: Recipe, ledger: Ledger, now: datetime, *, person: str, users: int = 0, hours: float = 0.0
) -> LedgerState:
    """Put stable into both arms of a judging stage, until `users` of both arms or `hours` (0: as the recipe plans).

    Refused while nothing serves, a release is open, a candidate waits, or nothing may move forward.
    """
    if hours and not 0 < hours <= _MOST_HOURS:
        raise ReleaseRefused(
            f"no A/A of {recipe.name} can be started", expected=f"hours up to {_MOST_HOURS}", seen=str(hours)
        )
    judging = recipe.rollout.judging
    longest = judging.model_copy(update={"max_judging_hours": hours or judging.max_judging_hours})
    plan = recipe.rollout.model_copy(update={"judging": longest})

    def choose(state: LedgerState) -> LedgerEvent:
        stop = halt_reason(state, recipe.rollout.blackouts, now)
        if state.stable is None or state.release or state.waiting or stop:
            raise _refused_aa(recipe.name, state, stop)
        return open_aa(plan, state, state.stable, users=users, reason=f"A/A started by {person}")

    return _append(recipe.name, ledger, person, choose)


def _refused_aa(recipe: str, state: LedgerState, stop: str) -> ReleaseRefused:
    seen, action = stop, "start it when releases may move forward again"
    if state.stable is None:
        seen, action = "nothing serves yet", "start it after the first release"
    elif state.release is not None:
        seen, action = f"{state.release.release_id} is open", "start it when that has ended"
    elif state.waiting is not None:
        seen, action = f"{state.waiting.version} waits to be released", "start it after that release"
    expected = "a stable, no open release and no candidate that waits, outside freezes and blackouts"
    return ReleaseRefused(f"no A/A of {recipe} can be started", expected=expected, seen=seen, action=action)


def approve(recipe: str, ledger: Ledger, *, person: str, reason: str = "") -> LedgerState:
    """Let the release that waits for a person go into shadow; refused when none waits."""

    def choose(state: LedgerState) -> LedgerEvent:
        release = _open(state, "approved", {S.AWAITING_APPROVAL})
        why = ": ".join(part for part in (f"{release.reason}, approved by {person}", reason) if part)
        return move(release, S.SHADOW, why)

    return _append(recipe, ledger, person, choose, reason)


def hold(recipe: str, ledger: Ledger, *, person: str, reason: str) -> LedgerState:
    """Stop a live release where it stands, traffic included, until `resume`, `rollback` or its grace time."""

    def choose(state: LedgerState) -> LedgerEvent:
        return move(_open(state, "held", LIVE - {S.HELD}), S.HELD, reason)

    return _append(recipe, ledger, person, choose, reason)


def resume(recipe: str, ledger: Ledger, *, person: str, reason: str = "") -> LedgerState:
    """Go on in the state that a held release came from; its waiting times start again.

    One that shadow holds for its differences from stable is thereby accepted as it is: refused without a reason.
    """

    def choose(state: LedgerState) -> LedgerEvent:
        release = _open(state, "resumed", {S.HELD})
        assert release.held_from is not None
        why = reason or f"resumed by {person}"
        if release.differences is not None and release.held_from is S.SHADOW:
            why = _acceptance(recipe, person, reason)
        return move(release, release.held_from, why, step=release.step)

    return _append(recipe, ledger, person, choose, reason)


def _acceptance(recipe: str, person: str, reason: str) -> str:
    if not reason:
        raise ReleaseRefused(
            f"the differences of {recipe} are not accepted",
            expected="why they are right, in the ledger",
            seen="no reason",
            action=f"look at `recflow release differences {recipe}`, then resume with --reason, or roll back",
        )
    return f"{person} accepts the differences: {reason}"


def abort(recipe: str, ledger: Ledger, *, person: str, reason: str) -> LedgerState:
    """End the open release: at once before any shopper met it, or an A/A; by rolling back afterwards."""
    return _append(recipe, ledger, person, lambda state: _back(_open(state, "aborted", set(S)), reason), reason)


def rollback(recipe: Recipe, services: ReleaseServices, *, person: str, reason: str, version: str = "") -> LedgerState:
    """Roll back the open release, or return to the previous version in one step when none is open.

    With `version` nothing happens unless that version is the candidate, or the stable without an open release: a
    caller that looked earlier cannot hit a release that it has not seen. Asking again changes nothing. An A/A is no
    release to roll back: it is ended, and stable is left. A return goes on, unless it is held and a person, who names
    no version, goes back to what was left.
    """

    def choose(state: LedgerState) -> LedgerEvent | None:
        release = state.release
        involved = release.candidate.version if release else state.stable.version if state.stable else ""
        if version and version != involved:
            return None
        if release is not None:
            ends = not is_return(release.release_id) or (release.state is S.HELD and not version)
            return _back(release, reason) if ends else None
        return _return(recipe, services, state, reason)

    def end_aa(state: LedgerState) -> LedgerEvent | None:
        release = state.release
        if release is None or not is_aa(release.release_id) or version not in ("", release.candidate.version):
            return None
        _previous(recipe.name, state)
        return move(release, S.ABORTED, reason)

    _append(recipe.name, services.ledger, person, end_aa, reason)
    return _append(recipe.name, services.ledger, person, choose, reason)


def freeze(recipe: str, ledger: Ledger, *, person: str, reason: str) -> LedgerState:
    """Stop every step forward until `unfreeze`; rollbacks go on."""
    return _append(recipe, ledger, person, lambda _: LedgerEvent(kind=EventKind.FROZEN, reason=reason), reason)


def unfreeze(recipe: str, ledger: Ledger, *, person: str, reason: str = "") -> LedgerState:
    """Let releases move forward again."""
    return _append(
        recipe,
        ledger,
        person,
        lambda state: LedgerEvent(kind=EventKind.UNFROZEN, reason=reason) if state.frozen else None,
        reason,
    )


def accept(recipe: str, ledger: Ledger, *, person: str, reason: str) -> LedgerState:
    """Accept the change that was refused last as not worse: it is tried again, and judged as a refresh."""
    return _answer(recipe, ledger, EventKind.CHANGE_ACCEPTED, f"accepted by {person}", person, reason)


def give_up(recipe: str, ledger: Ledger, *, person: str, reason: str) -> LedgerState:
    """Try the change that was refused last no more; the line goes on once its recipe is another."""
    return _answer(recipe, ledger, EventKind.CHANGE_GIVEN_UP, f"given up by {person}", person, reason)


def _answer(recipe: str, ledger: Ledger, kind: EventKind, word: str, person: str, reason: str) -> LedgerState:
    if not reason.strip():
        raise ReleaseRefused(
            f"nothing is said about the change of {recipe}", expected="a reason for the ledger", seen="none"
        )

    def choose(state: LedgerState) -> LedgerEvent:
        if state.refused is None:
            raise ReleaseRefused(
                f"{recipe} has no change that was refused", expected="one since the last promotion", seen="none"
            )
        return LedgerEvent(kind=kind, reason=f"{word}: {reason}")

    return _append(recipe, ledger, person, choose, reason)


def adopt(recipe: Recipe, package: Ref, services: ReleaseServices, *, person: str) -> LedgerState:
    """Make a published package, the model that serves today, the first stable; refused when there is one.

    Raises ModelWontLoad when it does not load, or is of another task than the recipe's.
    """
    artifacts = services.artifacts
    manifest = artifacts.manifest(package.expect(RefKind.PACKAGE))
    candidate = Candidate(
        version=version_id(manifest.interval, package),
        package=package,
        checkpoint=_checkpoint_of(package, artifacts),
        interval_label=manifest.interval.label,
        trained_through=manifest.interval.end,
    )

    def choose(state: LedgerState) -> LedgerEvent | None:
        if state.stable is not None and state.stable.version == candidate.version:
            return None
        _refuse_adoption(state)
        install(services, recipe, candidate.version, artifacts.fetch(package))
        return LedgerEvent(kind=EventKind.ADOPTED, candidate=candidate, reason=f"adopted by {person}")

    return _append(recipe.name, services.ledger, person, choose)


def history(recipe: str, ledger: Ledger, *, limit: int = 50) -> list[LedgerEntry]:
    """The newest entries, oldest of them first."""
    newest = [entry for _, entry in zip(range(limit), ledger.entries(recipe), strict=False)]
    return newest[::-1]


def _append(recipe: str, ledger: Ledger, person: str, choose: Choose, reason: str = "") -> LedgerState:
    """The state after the event that `choose` picks from the newest state; None leaves it as it is.

    ReleaseRefused for a `reason`, as a person typed it, that no card could show.
    """
    refuse_long(reason, f"the ledger of {recipe}", ReleaseRefused)

    def act() -> LedgerState:
        head = ledger.head(recipe)
        state = head.state if head else LedgerState()
        event = choose(state)
        return state if event is None else ledger.append(recipe, event, after=head, actor=person).state

    return retry_on_conflict(act)


def _open(state: LedgerState, what: str, allowed: set[ReleaseState] | frozenset[ReleaseState]) -> OpenRelease:
    release = state.release
    if release is None or release.state not in allowed:
        seen = "no open release" if release is None else f"{release.release_id} in {release.state}"
        raise ReleaseRefused(f"nothing can be {what}", expected=f"a release in {', '.join(sorted(allowed))}", seen=seen)
    return release


def _back(release: OpenRelease, reason: str) -> LedgerEvent | None:
    if release.state is S.ROLLING_BACK:
        return None
    at_once = release.state in WAITING or is_aa(release.release_id)
    return move(release, S.ABORTED if at_once else S.ROLLING_BACK, reason)


def _return(recipe: Recipe, services: ReleaseServices, state: LedgerState, reason: str) -> LedgerEvent:
    previous = _previous(recipe.name, state)
    install(services, recipe, previous.version, services.artifacts.fetch(previous.package))
    return LedgerEvent(
        kind=EventKind.OPENED,
        release_id=release_id(RETURN, state, previous.version),
        to=S.PROMOTING,
        candidate=as_candidate(previous),
        plan=recipe.rollout,
        reason=reason,
    )


def _previous(recipe: str, state: LedgerState) -> Served:
    if state.previous is None:
        raise ReleaseRefused(f"{recipe} cannot return", expected="a previous version", seen="none")
    return state.previous


def _refuse_adoption(state: LedgerState) -> None:
    if state.stable is not None or state.release is not None:
        seen = state.stable.version if state.stable else f"{state.release.release_id} is open" if state.release else ""
        raise ReleaseRefused("a model cannot be adopted", expected="no stable and no open release", seen=seen)


def _checkpoint_of(package: Ref, artifacts: ArtifactStore) -> Ref | None:
    """The checkpoint that a package was made from, through its model; None for a package from elsewhere."""
    model = next(iter(artifacts.manifest(package).inputs.get("model", ())), None)
    return None if model is None else next(iter(artifacts.manifest(model).inputs.get("checkpoint", ())), None)
