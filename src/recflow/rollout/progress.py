"""How one release stands, whether it is open, over, or unknown: what a task that follows it needs to see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recflow.artifacts.ledger import EventKind, LedgerEntry, ReleaseState
from recflow.config.recipe import Recipe
from recflow.errors import ReleaseRefused
from recflow.protocols import Ledger
from recflow.rollout.due import next_due


@dataclass(frozen=True)
class Progress:
    """A release's state now or at its end, the ledger's sequence, and when it is next due (seconds)."""

    state: ReleaseState
    step: int
    reason: str
    seq: int
    wait_s: float

    @property
    def ended(self) -> bool:
        """Whether the release is over."""
        return self.state.terminal

    def stands_in(self, states: Sequence[str], step: int | None = None) -> bool:
        """Whether it is in one of the states (for a canary: in that step)."""
        return self.state in states and step in (None, self.step)


def progress(recipe: Recipe, release_id: str, *, ledger: Ledger, now: datetime) -> Progress:
    """How the release stands; ReleaseRefused when the ledger has never heard of it."""
    head = ledger.head(recipe.name)
    release = head.state.release if head else None
    if head and release and release.release_id == release_id:
        wait_s = next_due(head.state, recipe.rollout, now) or 0.0
        return Progress(release.state, release.step, release.reason, head.seq, wait_s)
    for entry in ledger.entries(recipe.name):
        if head and _ended(entry, release_id):
            assert entry.event.to is not None
            return Progress(entry.event.to, entry.event.step, entry.event.reason, head.seq, 0.0)
    raise ReleaseRefused(f"{recipe.name} has no release {release_id}", expected="a release of the ledger", seen="none")


def _ended(entry: LedgerEntry, release_id: str) -> bool:
    event = entry.event
    moved = event.kind is EventKind.MOVED and event.release_id == release_id
    return moved and event.to is not None and event.to.terminal
