"""Which partition of an interval is current, and why: an append-only history per interval, in the object store."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.data.spec import VALIDATE_PARTITION
from recflow.domain.changes import all_options, differences, in_short
from recflow.errors import LedgerConflict, PermanentError
from recflow.protocols import ObjectStore
from recflow.storage import ArtifactStore

FIRST_DELIVERY = "first delivery"


class Head(Frozen):
    """A partition and the interval it is current for; `seq` counts from 1 within the interval.

    `reason` says why it took the place of the one before, and `at` since when it is current; former versions kept
    neither.
    """

    seq: int
    interval: Interval
    partition: Ref
    reason: str = ""
    at: datetime | None = None


class HeadHistory:
    """Heads of one recipe: `<recipe>/partitions/heads/<label>/<seq>.json`, written once, the highest is current."""

    def __init__(self, store: ObjectStore, recipe: str) -> None:
        self._store = store
        self._prefix = f"{recipe}/{RefKind.PARTITION.folder}/heads"

    def record(
        self, interval: Interval, partition: Ref, *, at: datetime, why: Callable[[Ref | None], str] = lambda _: ""
    ) -> Head:
        """Make `partition` current for its interval; recording the current one again adds nothing.

        `why` gives the reason when it is told which partition was current before. Raises LedgerConflict when somebody
        recorded another partition at the same moment.
        """
        current = self.current(interval.label)
        if current and current.partition.digest == partition.digest:
            return current
        head = Head(
            seq=current.seq + 1 if current else 1,
            interval=interval,
            partition=partition.expect(RefKind.PARTITION),
            reason=why(current.partition if current else None),
            at=at,
        )
        key = f"{self._prefix}/{interval.label}/{head.seq:06d}.json"
        if not self._store.put(key, head.model_dump_json().encode(), if_absent=True):
            raise LedgerConflict(f"another partition of {interval.label} became current just now")
        return head

    def current(self, label: str) -> Head | None:
        """The current head of an interval, None before the first."""
        keys = self._store.list(f"{self._prefix}/{label}/")
        return self._read(keys[-1]) if keys else None

    def history(self, label: str) -> list[Head]:
        """Every head that an interval ever had, oldest first."""
        return [self._read(key) for key in self._store.list(f"{self._prefix}/{label}/")]

    def labels(self) -> list[str]:
        """Every interval that ever had a head, oldest first."""
        return sorted(self._newest())

    def newest_first(self, end: datetime) -> Iterator[Head]:
        """Current heads of the intervals that end at `end` or before, newest first, read as they are asked for."""
        newest = self._newest()
        for label in sorted(newest, reverse=True):
            head = self._read(newest[label])
            if head.interval.end <= end:
                yield head

    def _newest(self) -> dict[str, str]:
        """The key of the current head of each label."""
        return {key.rsplit("/", 2)[-2]: key for key in self._store.list(f"{self._prefix}/")}

    def _read(self, key: str) -> Head:
        data = self._store.get(key)
        assert data is not None
        return Head.model_validate_json(data)


_OTHER = {"source": "delivered again", "released": "released from quarantine by a person"}


def why_current(artifacts: ArtifactStore, partition: Ref, before: Ref | None) -> str:
    """Why a partition takes another's place: who asked, and what it was made of and by that differs."""
    if before is None:
        return FIRST_DELIVERY
    made = artifacts.manifest(partition)
    asked = [f"asked for: {made.fresh_reason}"] if made.fresh_reason else []
    try:
        found = [*_other_inputs(artifacts.manifest(before), made), *_other_rules(artifacts, before, partition)]
    except PermanentError as error:  # what is damaged is made again, and tells nothing more
        found = [f"the one before cannot be read: {error.what}"]
    return "; ".join([*asked, *found]) or "made again"


def _other_inputs(before: Manifest, made: Manifest) -> Iterator[str]:
    if before.interval != made.interval:
        yield f"another time zone: from {made.interval.start:%Y-%m-%d %H:%M} UTC on"
    for name in sorted(before.inputs.keys() | made.inputs.keys()):
        then, now = (" ".join(ref.short for ref in one.inputs.get(name, ())) for one in (before, made))
        if then != now:
            yield f"{_OTHER.get(name, name)}: {then or 'none'} → {now or 'none'}"


def _other_rules(artifacts: ArtifactStore, before: Ref, partition: Ref) -> Iterator[str]:
    told = differences(*(_rules(artifacts, ref) for ref in (before, partition)))
    if told:
        yield f"rules changed: {in_short(told)}"


def _rules(artifacts: ArtifactStore, partition: Ref) -> dict[str, Any]:
    recipe = json.loads(artifacts.read(partition, "recipe.json") or b"{}")
    sections = {name: recipe.get(name, {}) for name in VALIDATE_PARTITION.sections}
    return all_options(sections) | {"stage version": artifacts.manifest(partition).stage_version}
