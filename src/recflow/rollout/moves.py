"""The events that a release is made of: the first, which freezes its plan, and those that move it or end it."""

from recflow.artifacts.decisions import Decision
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent, LedgerState, OpenRelease, ReleaseState, Served
from recflow.artifacts.plans import Plan
from recflow.config.recipe import Recipe
from recflow.domain.changes import in_short
from recflow.domain.refused_changes import accepted
from recflow.domain.releases import AA, WAITING, is_aa
from recflow.rollout.changes import what_changed
from recflow.storage import ArtifactStore

Proposal = LedgerEvent | str
"""The event that is due, or why none is."""


def release_id(kind: str, state: LedgerState, version: str) -> str:
    """A release's name, unique by the number that its first entry will have; it salts the assignment of users."""
    return f"{kind}-{state.seq + 1}-{version}"


def open_waiting(recipe: Recipe, state: LedgerState, candidate: Candidate, artifacts: ArtifactStore) -> LedgerEvent:
    """The event that opens a release for the waiting candidate.

    Its plan is the recipe's, for a change where the candidate was made otherwise than stable; one that a person has
    accepted as not worse is judged as a refresh.
    """
    first = state.stable is None
    changes = what_changed(candidate.package, state.stable, artifacts)
    word = accepted(state.refused, candidate.made_with)
    return LedgerEvent(
        kind=EventKind.OPENED,
        release_id=release_id("release", state, candidate.version),
        to=ReleaseState.PACKAGED,
        candidate=candidate,
        plan=recipe.rollout.model_copy(update={"kind": "change"}) if changes and not word else recipe.rollout,
        first=first,
        changes=changes,
        reason="first_release" if first else _told(changes, word),
    )


def _told(changes: tuple[str, ...], word: str) -> str:
    as_refresh = f", judged as a refresh ({word})" if word else ""
    return f"a change{as_refresh}: {in_short(changes)}" if changes else ""


def open_aa(plan: Plan, state: LedgerState, stable: Served, *, users: int, reason: str) -> LedgerEvent:
    """The event that opens an A/A: `stable` in both arms, straight to judging."""
    return LedgerEvent(
        kind=EventKind.OPENED,
        release_id=release_id(AA, state, stable.version),
        to=ReleaseState.JUDGING,
        candidate=as_candidate(stable),
        plan=plan,
        users=users,
        reason=reason,
    )


def superseding_event(state: LedgerState) -> LedgerEvent | None:
    """The event that ends what a waiting candidate comes before: what no shopper has met, and an A/A; None without."""
    release, waiting = state.release, state.waiting
    if release is None or waiting is None:
        return None
    if is_aa(release.release_id):
        return move(release, ReleaseState.SUPERSEDED, f"a candidate comes first: {waiting.version}")
    return move(release, ReleaseState.SUPERSEDED, f"{waiting.version} is newer") if release.state in WAITING else None


def as_candidate(served: Served) -> Candidate:
    """A version that serves or served, as what a release carries."""
    trained_through = served.trained_through or served.since
    return Candidate(
        version=served.version,
        package=served.package,
        checkpoint=served.checkpoint,
        interval_label=f"{trained_through:%Y-%m-%d}",
        trained_through=trained_through,
    )


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
