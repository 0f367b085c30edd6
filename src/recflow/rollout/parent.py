"""The parent of a retrain: pinned once, as an artifact, so that a rerun and a backfill start from the same model."""

import tempfile
import uuid
from pathlib import Path

from recflow.artifacts.digests import digest_json
from recflow.artifacts.ledger import EventKind, LedgerState, Served
from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.releases import stable_as_of
from recflow.protocols import Clock, Ledger
from recflow.storage import ArtifactStore, list_files

STAGE, STAGE_VERSION = "pin_parent", 1


def pin_parent(recipe: Recipe, interval: Interval, *, ledger: Ledger, artifacts: ArtifactStore, clock: Clock) -> Ref:
    """The reference of `parent.json` for a retrain of this interval; equal parents give the equal reference."""
    return publish_parent(recipe, interval, find_parent(recipe.name, interval, ledger), artifacts, clock)


def find_parent(recipe: str, interval: Interval, ledger: Ledger) -> Parent:
    """The model that the interval's retrain starts from and is compared with.

    Newest interval: the stable now. The interval of the newest candidate, run again: the stable when that candidate
    was recorded. Older, a backfill: the stable as of the interval's end. Otherwise the base model: an empty Parent.
    """
    head = ledger.head(recipe)
    state = head.state if head else LedgerState()
    newest = state.newest_trained_through
    if newest is None or interval.end > newest:
        return _parent(state.stable)
    if interval.end == newest and (recorded := _recorded_beside(recipe, interval, ledger)):
        return _parent(recorded.stable)
    return _parent(stable_as_of(ledger.entries(recipe), interval.end))


def _recorded_beside(recipe: str, interval: Interval, ledger: Ledger) -> LedgerState | None:
    """The state in which the interval's candidate was recorded."""
    for entry in ledger.entries(recipe):
        candidate = entry.event.candidate
        recorded = entry.event.kind is EventKind.CANDIDATE_RECORDED
        if recorded and candidate is not None and candidate.trained_through == interval.end:
            return entry.state
    return None


def _parent(served: Served | None) -> Parent:
    if served is None:
        return Parent()
    return Parent(
        version=served.version,
        package=served.package,
        checkpoint=served.checkpoint,
        trained_through=served.trained_through,
    )


def publish_parent(recipe: Recipe, interval: Interval, parent: Parent, artifacts: ArtifactStore, clock: Clock) -> Ref:
    """The reference of a parent; equal ones give the equal reference."""
    key = digest_json({"stage": STAGE, "version": STAGE_VERSION, "parent": parent.model_dump(mode="json")})
    if found := artifacts.find(recipe.name, RefKind.PARENT, key):
        return found[0]
    with tempfile.TemporaryDirectory(prefix="recflow-parent-") as scratch:
        folder = Path(scratch)
        (folder / "parent.json").write_text(parent.model_dump_json(indent=1), encoding="utf-8")
        manifest = Manifest(
            kind=RefKind.PARENT,
            recipe=recipe.name,
            stage=STAGE,
            stage_version=STAGE_VERSION,
            key=key,
            attempt=uuid.uuid4().hex[:12],
            interval=interval,
            inputs={},
            files=list_files(folder),
            numbers={"version": parent.version or "base"},
            reusable=True,
            created_at=clock.now(),
        )
        return artifacts.publish(manifest, folder)
