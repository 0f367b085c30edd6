"""Housekeeping of one recipe's artifacts: what two passes in a row found to be garbage is deleted.

The first pass only remembers. An attempt that is being published looks like garbage until its manifest stands, and an
old result may be taken up by a run of this minute: both are something else by the time of the next pass.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.ledger import LedgerState
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.retention import Shelf, garbage, needed_by_releases
from recflow.errors import ArtifactCorrupt
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

    `at_once` does not wait for a second pass: only while nothing of the recipe is being computed. While a manifest
    cannot be read nobody knows what it was made from, so only unpublished attempts go; then ArtifactCorrupt names it.
    """
    plan, now = recipe.retention, clock.now()
    head = ledger.head(recipe.name)
    roots = [*needed_by_releases(head.state if head else LedgerState()), *current]
    broken: list[ArtifactCorrupt] = []
    shelves = list(_shelves(store, recipe.name, broken))
    made_after = datetime.min.replace(tzinfo=UTC) if broken else now - timedelta(days=plan.keep_days)
    unneeded = garbage(shelves, roots, made_after=made_after)
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
    if broken:
        raise broken[0]
    return Cleaned(len(due), len(left))


def _shelves(store: ObjectStore, recipe: str, broken: list[ArtifactCorrupt]) -> Iterator[Shelf]:
    """Every shelf that can be read; why another cannot goes to `broken`."""
    for kind in RefKind:
        folder = f"{recipe}/{kind.folder}/"
        groups: dict[str, list[str]] = {}
        for key in store.list(folder):
            groups.setdefault(key.removeprefix(folder).partition("/")[0], []).append(key)
        for name, keys in groups.items():
            if name == _HEADS:
                continue
            try:
                yield _shelf(store, f"{folder}{name}", keys)
            except ArtifactCorrupt as error:
                broken.append(error)


def _shelf(store: ObjectStore, prefix: str, keys: list[str]) -> Shelf:
    texts = {key: store.get(key) or b"" for key in keys if key.removeprefix(f"{prefix}/").startswith("manifest")}
    manifests = {_digest(store, key, data): _manifest(store, key, data) for key, data in texts.items() if data}
    current = texts.get(f"{prefix}/manifest.json", b"")
    return Shelf(prefix, tuple(keys), digest_bytes(current) if current else "", manifests)


def _digest(store: ObjectStore, key: str, data: bytes) -> str:
    """The digest that references know a manifest by; where it stands under its digest, the two must agree."""
    digest, named = digest_bytes(data), key.rpartition("/manifests/")[2].removesuffix(".json")
    if "/manifests/" in key and named != digest:
        raise ArtifactCorrupt(
            f"{store.root}/{key} was changed", expected=named, seen=digest, then="nothing published is removed"
        )
    return digest


def _manifest(store: ObjectStore, key: str, data: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ArtifactCorrupt(
            f"{store.root}/{key} is no manifest",
            expected="JSON of a manifest",
            seen=str(error),
            then="nothing published is removed",
        ) from error
