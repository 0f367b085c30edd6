"""Which partition of an interval is current: an append-only history per interval, in the object store."""

from collections.abc import Iterator
from datetime import datetime

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref, RefKind
from recflow.errors import LedgerConflict
from recflow.protocols import ObjectStore


class Head(Frozen):
    """A partition and the interval it is current for; `seq` counts from 1 within the interval."""

    seq: int
    interval: Interval
    partition: Ref


class HeadHistory:
    """Heads of one recipe: `<recipe>/partitions/heads/<label>/<seq>.json`, written once, the highest is current."""

    def __init__(self, store: ObjectStore, recipe: str) -> None:
        self._store = store
        self._prefix = f"{recipe}/{RefKind.PARTITION.folder}/heads"

    def record(self, interval: Interval, partition: Ref) -> Head:
        """Make `partition` current for its interval; recording the current one again adds nothing.

        Raises LedgerConflict when somebody recorded another partition at the same moment.
        """
        current = self.current(interval.label)
        if current and current.partition.digest == partition.digest:
            return current
        head = Head(
            seq=current.seq + 1 if current else 1, interval=interval, partition=partition.expect(RefKind.PARTITION)
        )
        key = f"{self._prefix}/{interval.label}/{head.seq:06d}.json"
        if not self._store.put(key, head.model_dump_json().encode(), if_absent=True):
            raise LedgerConflict(f"another partition of {interval.label} became current just now")
        return head

    def current(self, label: str) -> Head | None:
        """The current head of an interval, None before the first."""
        history = self.history(label)
        return history[-1] if history else None

    def history(self, label: str) -> list[Head]:
        """Every head that an interval ever had, oldest first."""
        return [self._read(key) for key in self._store.list(f"{self._prefix}/{label}/")]

    def newest_first(self, end: datetime) -> Iterator[Head]:
        """Current heads of the intervals that end at `end` or before, newest first, read as they are asked for."""
        newest: dict[str, str] = {}
        for key in self._store.list(f"{self._prefix}/"):
            newest[key.rsplit("/", 2)[-2]] = key
        for label in sorted(newest, reverse=True):
            head = self._read(newest[label])
            if head.interval.end <= end:
                yield head

    def _read(self, key: str) -> Head:
        data = self._store.get(key)
        assert data is not None
        return Head.model_validate_json(data)
