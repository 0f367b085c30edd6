"""Opening a release: its name, and its first entry, which freezes the plan; and making way for a newer one."""

from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent, LedgerState, ReleaseState, Served
from recflow.artifacts.plans import Plan
from recflow.config.recipe import Recipe
from recflow.domain.releases import AA, WAITING, is_aa
from recflow.rollout.changes import what_changed
from recflow.rollout.steps import move
from recflow.storage import ArtifactStore

_FEW = 3  # differences in a sentence; the entry has all


def release_id(kind: str, state: LedgerState, version: str) -> str:
    """A release's name, unique by the number that its first entry will have; it salts the assignment of users."""
    return f"{kind}-{state.seq + 1}-{version}"


def open_waiting(recipe: Recipe, state: LedgerState, artifacts: ArtifactStore) -> LedgerEvent | None:
    """The event that opens a release for the waiting candidate, None without one.

    Its plan is the recipe's, for a change where the candidate was made otherwise than stable.
    """
    candidate = state.waiting
    if candidate is None:
        return None
    first = state.stable is None
    changes = what_changed(candidate, state.stable, artifacts)
    return LedgerEvent(
        kind=EventKind.OPENED,
        release_id=release_id("release", state, candidate.version),
        to=ReleaseState.PACKAGED,
        candidate=candidate,
        plan=recipe.rollout.model_copy(update={"kind": "change"}) if changes else recipe.rollout,
        first=first,
        changes=changes,
        reason="first_release" if first else _told(changes),
    )


def _told(changes: tuple[str, ...]) -> str:
    more = f" and {len(changes) - _FEW} more" if len(changes) > _FEW else ""
    return f"a change: {'; '.join(changes[:_FEW])}{more}" if changes else ""


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


def make_way(state: LedgerState) -> LedgerEvent | None:
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
