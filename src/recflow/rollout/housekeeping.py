"""Housekeeping of one recipe's artifacts: what two passes in a row found to be garbage is deleted.

The first pass only remembers. An attempt that is being published looks like garbage until its manifest stands, and an
old result may be taken up by a run of this minute: both are something else by the time of the next pass.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.ledger import LedgerState
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.retention import Shelf, garbage, needed_by_releases
from recflow.protocols import Clock, Ledger, ObjectStore

_HEADS = "heads"  # beside the partitions stands which of them is current
_SUSPECTS = TypeAdapter(dict[str, datetime])


@dataclass(frozen=True)
class Cleaned:
    """How many objects were deleted, and how many wait for the next pass."""

    deleted: int
    suspected: int


def clean_artifacts(
    recipe: Recipe, *, store: ObjectStore, ledger: Ledger, clock: Clock, current: Iterable[Ref], at_once: bool = False
) -> Cleaned:
    """Delete what no release, no current partition (`current`) and no recent artifact needs.

    `at_once` does not wait for a second pass: only while nothing of the recipe is being computed.
    """
    plan, now = recipe.retention, clock.now()
    head = ledger.head(recipe.name)
    roots = [*needed_by_releases(head.state if head else LedgerState()), *current]
    shelves = list(_shelves(store, recipe.name))
    unneeded = garbage(shelves, roots, made_after=now - timedelta(days=plan.keep_days))
    memory = f"{recipe.name}/housekeeping/suspects.json"
    since = _SUSPECTS.validate_json(store.get(memory) or b"{}")
    suspects = {key: since.get(key, now) for key in unneeded}
    seen_before = now - timedelta(hours=plan.grace_hours)
    due = {key for key in suspects if at_once or (key in since and since[key] <= seen_before)}
    for key in unneeded:
        if key in due:
            store.delete(key)
    left = {key: seen for key, seen in suspects.items() if key not in due}
    store.put(memory, _SUSPECTS.dump_json(left))
    return Cleaned(len(due), len(left))


def _shelves(store: ObjectStore, recipe: str) -> Iterator[Shelf]:
    for kind in RefKind:
        folder = f"{recipe}/{kind.folder}/"
        groups: dict[str, list[str]] = {}
        for key in store.list(folder):
            groups.setdefault(key.removeprefix(folder).partition("/")[0], []).append(key)
        for name, keys in groups.items():
            if name != _HEADS:
                yield _shelf(store, f"{folder}{name}", keys)


def _shelf(store: ObjectStore, prefix: str, keys: list[str]) -> Shelf:
    texts = {key: store.get(key) or b"" for key in keys if key.removeprefix(f"{prefix}/").startswith("manifest")}
    manifests = {digest_bytes(data): Manifest.model_validate_json(data) for data in texts.values() if data}
    current = texts.get(f"{prefix}/manifest.json", b"")
    return Shelf(prefix, tuple(keys), digest_bytes(current) if current else "", manifests)
