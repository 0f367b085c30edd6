"""The requests on which a held candidate differs most from stable, for the person who decides.

They hold what shoppers searched for, so they stand in an artifact of their own that can be erased; the ledger, from
which nothing can be taken, has its reference only. Whose requests they were is not kept.
"""

import json
import tempfile
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recflow.artifacts.digests import digest_json
from recflow.artifacts.events import Comparison
from recflow.artifacts.ledger import LedgerEntry
from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.errors import ReleaseRefused
from recflow.protocols import EventLog, Ledger
from recflow.rollout.agreement import ComparedRequest, most_different
from recflow.rollout.context import Context
from recflow.storage import ArtifactStore, list_files

_FILE = "differences.json"
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Differences:
    """The newest entry that held a release for its differences, and the requests; None when they were erased."""

    entry: LedgerEntry
    requests: tuple[Comparison, ...] | None


def publish_differences(context: Context, compared: Sequence[ComparedRequest]) -> Ref:
    """Publish the ten requests that agree least; a release's first stay when it is asked again."""
    release, stable = context.release, context.state.stable
    assert stable is not None
    requests = [
        row.model_dump(mode="json")
        for found in most_different(compared)
        for row in _whole(context.services.events, context.name, found)
    ]
    with tempfile.TemporaryDirectory(prefix="recflow-differences-") as scratch:
        folder = Path(scratch)
        (folder / _FILE).write_text(json.dumps(requests, ensure_ascii=False, indent=1), encoding="utf-8")
        manifest = Manifest(
            kind=RefKind.COMPARISON,
            recipe=context.name,
            stage="shadow",
            stage_version=1,
            key=_key(release.release_id),
            attempt=uuid.uuid4().hex[:12],
            interval=_window(release.entered_at, context.now),
            inputs={"candidate": (release.candidate.package,), "stable": (stable.package,)},
            files=list_files(folder),
            numbers={"requests": len(requests), "compared": len(compared)},
            reusable=True,
            created_at=context.now,
        )
        return context.services.artifacts.publish(manifest, folder)


def read_differences(recipe: str, ledger: Ledger, artifacts: ArtifactStore) -> Differences:
    """What the newest release that was held for its differences was held for; ReleaseRefused when none was."""
    entry = _newest(recipe, ledger)
    return Differences(entry, _read(recipe, entry, artifacts))


def erase_differences(recipe: str, ledger: Ledger, artifacts: ArtifactStore) -> LedgerEntry:
    """Delete these requests; the entry that refers to them, with its figures, stays."""
    entry = _newest(recipe, ledger)
    assert entry.event.differences is not None
    artifacts.erase(entry.event.differences)
    return entry


def forget_users(
    recipe: str, user_keys: Collection[str], events: EventLog, ledger: Ledger, artifacts: ArtifactStore
) -> int:
    """Forget users in all that shadow compared; how many of their comparisons are too young, for another call.

    The requests that a release was held for are deleted with them where one is theirs.
    """
    rows = events.comparisons(recipe, *_EVER, columns=("request_id", "user_key")).to_pylist()
    theirs = {row["request_id"] for row in rows if row["user_key"] in user_keys}
    for entry in ledger.entries(recipe):
        if entry.event.differences and not theirs.isdisjoint(_request_ids(recipe, entry, artifacts)):
            artifacts.erase(entry.event.differences)
    return events.erase_comparisons(recipe, user_keys)


def _request_ids(recipe: str, entry: LedgerEntry, artifacts: ArtifactStore) -> Iterator[str]:
    return (request.request_id for request in _read(recipe, entry, artifacts) or ())


def _read(recipe: str, entry: LedgerEntry, artifacts: ArtifactStore) -> tuple[Comparison, ...] | None:
    found = artifacts.find(recipe, RefKind.COMPARISON, _key(entry.event.release_id))
    if found is None:
        return None
    rows = json.loads((artifacts.fetch(found[0]) / _FILE).read_bytes())
    return tuple(map(Comparison.model_validate, rows))


def _newest(recipe: str, ledger: Ledger) -> LedgerEntry:
    entry = next((entry for entry in ledger.entries(recipe) if entry.event.differences), None)
    if entry is None:
        raise ReleaseRefused(
            f"{recipe} has no differences to look at", expected="a release that shadow held for them", seen="none"
        )
    return entry


def _whole(events: EventLog, recipe: str, found: ComparedRequest) -> Iterator[Comparison]:
    """The record of a compared request, without its user."""
    rows = events.comparisons(recipe, found.at, found.at + timedelta(microseconds=1)).to_pylist()
    for row in rows:
        if row["request_id"] == found.request_id:
            yield Comparison.model_validate(row | {"user_key": ""})


def _key(release_id: str) -> str:
    return digest_json(["differences", release_id])


def _window(start: datetime, end: datetime) -> Interval:
    return Interval(label=f"{start:%Y-%m-%d}", start=min(start, end), end=end)
