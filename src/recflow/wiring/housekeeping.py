"""Housekeeping of one recipe in the store, and of what stages and jobs leave on this host."""

import math
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.rollout.housekeeping import clean_artifacts
from recflow.wiring.services import Services

_KEEP_ON_HOST = timedelta(days=2)  # far longer than a job runs; a copy that is used again is young again
_HOST_FOLDERS = ("scratch", "cache", "jobs", "calls", "store/.incoming")


def clean_store(services: Services, recipe: str, *, at_once: bool = False) -> dict[str, Any]:
    """Delete what nothing needs, compact the event log, remove stale files of this host; what was done, in numbers."""
    contract = services.recipe(recipe)
    compacted = services.events.compact()
    removed = _clean_host(services.settings.home, services.clock.now() - _KEEP_ON_HOST)
    cleaned = clean_artifacts(
        contract, store=services.store, ledger=services.ledger, clock=services.clock,
        current=_current_partitions(services, contract), at_once=at_once,
    )  # fmt: skip
    return {
        "deleted_objects": cleaned.deleted,
        "suspected_objects": cleaned.suspected,
        "compacted_records": compacted,
        "removed_host_folders": removed,
    }


def _current_partitions(services: Services, recipe: Recipe) -> Iterator[Ref]:
    from recflow.data.heads import HeadHistory

    heads = HeadHistory(services.store, recipe.name).newest_first(datetime.max.replace(tzinfo=UTC))
    return (head.partition for head in heads)


def _clean_host(home: Path, before: datetime) -> int:
    entries = [entry for name in _HOST_FOLDERS if (home / name).is_dir() for entry in (home / name).iterdir()]
    stale = [entry for entry in entries if _last_change(entry) < before.timestamp()]
    for entry in stale:
        shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
    return len(stale)


def _last_change(entry: Path) -> float:
    """The newest change of an entry or directly in it; never, when somebody else has just removed it."""
    with suppress(FileNotFoundError):
        paths = [entry, *entry.iterdir()] if entry.is_dir() else [entry]
        return max(path.stat().st_mtime for path in paths)
    return math.inf
