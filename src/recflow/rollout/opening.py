"""Opening a release: its name, and its first entry, which freezes the plan."""

from recflow.artifacts.ledger import EventKind, LedgerEvent, LedgerState, ReleaseState
from recflow.config.recipe import Recipe


def release_id(kind: str, state: LedgerState, version: str) -> str:
    """A release's name, unique by the number that its first entry will have; it salts the assignment of users."""
    return f"{kind}-{state.seq + 1}-{version}"


def open_waiting(recipe: Recipe, state: LedgerState) -> LedgerEvent | None:
    """The event that opens a release for the waiting candidate, None without one."""
    candidate = state.waiting
    if candidate is None:
        return None
    first = state.stable is None
    return LedgerEvent(
        kind=EventKind.OPENED,
        release_id=release_id("release", state, candidate.version),
        to=ReleaseState.PACKAGED,
        candidate=candidate,
        plan=recipe.rollout,
        first=first,
        reason="first_release" if first else "",
    )
