"""Days that were delivered again: which they are, and which data sets rest on what was delivered before."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref
from recflow.data.heads import Head, HeadHistory
from recflow.data.sources import Source
from recflow.storage import ArtifactStore


@dataclass(frozen=True)
class Look:
    """Labels of days, oldest first: whose source differs from what they were made of, and who are gone from it."""

    again: tuple[str, ...]
    gone: tuple[str, ...]


def look_back(interval: Interval, days: int, source: Source, heads: HeadHistory, artifacts: ArtifactStore) -> Look:
    """Compare the source of each of the `days` before an interval with what its current partition was made of.

    A day without a partition was never delivered, or refused: it is no day that comes again.
    """
    again: list[str] = []
    gone: list[str] = []
    for head in _heads_before(interval, days, heads):
        (pinned,), day = artifacts.manifest(head.partition).inputs["source"], head.interval
        if (stamp := pinned.numbers.get("stamp")) and stamp == source.stamp(day):
            continue
        found = source.fingerprint(day)
        if pinned.digest == found.digest or pinned.numbers.get("events") == found.events:
            continue
        (gone if found.empty else again).append(day.label)
    return Look(tuple(again), tuple(gone))


def _heads_before(interval: Interval, days: int, heads: HeadHistory) -> Iterator[Head]:
    for number in range(days, 0, -1):
        label = (date.fromisoformat(interval.label) - timedelta(days=number)).isoformat()
        if head := heads.current(label):
            yield head


def replaced(dataset: Ref, heads: HeadHistory, artifacts: ArtifactStore) -> list[Head]:
    """The heads that took the place of partitions which a data set was made of, oldest first; none while it is new."""
    made = artifacts.manifest(dataset)
    pinned = made.inputs["partitions"]  # oldest first
    if not pinned:
        return []
    start = artifacts.manifest(pinned[0]).interval.start
    current: set[str] = set()
    for head in heads.newest_first(made.interval.end):
        if head.interval.start < start:
            break
        current.add(head.partition.digest)
    old = [artifacts.manifest(ref).interval.label for ref in pinned if ref.digest not in current]
    return [found for label in old if (found := heads.current(label))]
