"""The event log on a local folder: segments of JSON lines, compacted to Parquet, read by DuckDB.

A segment is finished when its writer has given up the lock or is dead. Locks need a local file system. Files and their
names: `event_files`.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recflow.artifacts.events import Comparison, Exposure, Outcome, Record
from recflow.clients.event_facts import complete_facts, complete_sums, lay_out_facts
from recflow.clients.event_files import RECORDS, EventFiles, erase_users, kind_folder, listed, publish
from recflow.clients.event_records import COMPARISON, EXPOSURE, KINDS, OUTCOME, RecordKind, torn_lines
from recflow.clients.segments import SegmentWriter, alone, disk_errors, finished
from recflow.errors import StoreFull, StoreUnavailable
from recflow.protocols import Clock

_LOG = logging.getLogger(__name__)
_READ = "the event log could not be read"
# Beyond it a look at a hundred million exposures goes on through files.
_MEMORY = "1200MiB"
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


class DuckEventLog:
    """EventLog below one folder of this host, shared by any number of processes.

    A segment ends at `max_bytes` or `max_age_s`. `torn` counts the lines that `compact` could not read: the last
    line of a killed writer, which nobody was told is kept.
    """

    def __init__(self, folder: Path, clock: Clock, *, max_bytes: int = 16 << 20, max_age_s: float = 600) -> None:
        self._folder = folder
        self._segments = folder / "segments"
        self._lock = folder / "compaction.lock"
        self._clock = clock
        self._writer = SegmentWriter(self._segments, clock, max_bytes, max_age_s)
        self.torn = 0

    def append(self, worker: str, records: Sequence[Record]) -> None:
        """One write(2) for all records, fsync within a second. Raises StoreFull or StoreUnavailable: none is kept."""
        self._writer.write(worker, b"".join(map(_line, records)))

    def close(self) -> None:
        """Finish this process's segments, so that the next compaction takes them."""
        self._writer.close()

    def exposures(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """Exposures of a window; a few `columns` are much cheaper than all."""
        return self._read(EXPOSURE, recipe, (start, end), columns)

    def outcomes(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """Outcomes of a window."""
        return self._read(OUTCOME, recipe, (start, end), columns)

    def comparisons(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """Comparisons of a window; a few `columns` are much cheaper than all."""
        return self._read(COMPARISON, recipe, (start, end), columns)

    def erase_comparisons(self, recipe: str, user_keys: Collection[str]) -> int:
        """Forget users in what is compacted; how many of their comparisons stand in open segments."""
        self.compact()
        with disk_errors("comparisons could not be erased"), alone(self._lock) as free, ExitStack() as stack:
            parts = EventFiles(self._folder, stack).records(recipe, COMPARISON.name) if free else []
            for part in parts:
                erase_users(part, user_keys)
        left = self.comparisons(recipe, *_EVER, columns=("user_key",))["user_key"]
        return int(pc.sum(pc.is_in(left, pa.array(user_keys, pa.string()))).as_py() or 0)

    @contextmanager
    def facts(
        self, recipe: str, start: datetime, end: datetime, *, look_back: timedelta = timedelta(0)
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Facts of a window, and before. What they lack is made first, unless a compaction is busy with that."""
        # What a full disk does not take is made in memory by each look: whoever watches must not stop.
        with suppress(StoreFull), _reading():
            if (self._folder / RECORDS).exists():
                with alone(self._lock) as free:
                    if free:
                        self._complete()
                        if look_back:
                            self._add_up(recipe, start, look_back)
        with ExitStack() as stack:
            with _reading():
                connection = stack.enter_context(_connected())
                lay_out_facts(connection, EventFiles(self._folder, stack), recipe, (start, end), look_back)
            yield connection

    def compact(self) -> int:
        """Move finished segments to Parquet; 0 at once while another process is doing it."""
        with disk_errors("the event log could not be compacted"), alone(self._lock) as free:
            if not free:
                return 0
            moved = sum(self._compact_one(path) for path in listed(self._segments, suffix=".jsonl"))
            self._complete()
            return moved

    def _complete(self) -> None:
        with ExitStack() as stack, _reading():
            files = EventFiles(self._folder, stack)
            if files.lack_facts():
                complete_facts(stack.enter_context(_connected()), files)

    def _add_up(self, recipe: str, start: datetime, look_back: timedelta) -> None:
        with ExitStack() as stack:
            files, connection = EventFiles(self._folder, stack), stack.enter_context(_connected())
            complete_sums(connection, files, recipe, start, look_back)

    def _compact_one(self, path: Path) -> int:
        with disk_errors(f"{path.name} could not be compacted"), finished(path) as done:
            if not done:
                return 0
            with _connected() as connection, _reading():
                self._count_torn(path, connection.execute(torn_lines(str(path))).fetchall()[0][0])
                moved = sum(self._move(connection, kind, path) for kind in KINDS)
            path.unlink()
            return moved

    def _count_torn(self, path: Path, torn: int) -> None:
        self.torn += torn
        if torn:
            _LOG.warning("%s: %d torn lines were skipped (a killed writer leaves one)", path.name, torn)

    def _move(self, connection: duckdb.DuckDBPyConnection, kind: RecordKind, path: Path) -> int:
        rows = connection.sql(kind.rows([str(path)], [])).to_arrow_table().cast(kind.schema)
        keyed = rows.append_column("day", pc.strftime(rows["at"], format="%Y-%m-%d"))
        for group in keyed.group_by(["recipe", "day"]).aggregate([]).to_pylist():
            recipe, day = group["recipe"], group["day"]
            chosen = pc.and_(pc.equal(keyed["recipe"], recipe), pc.equal(keyed["day"], day))
            folder = kind_folder(self._folder / RECORDS, recipe, kind.name) / f"day={day}"
            publish(rows.filter(chosen), folder / f"{path.stem}.parquet")
        return int(rows.num_rows)

    def _read(
        self, kind: RecordKind, recipe: str, window: tuple[datetime, datetime], columns: Sequence[str]
    ) -> pa.Table:
        names = columns or kind.schema.names
        with ExitStack() as stack, _reading():
            files = EventFiles(self._folder, stack)
            parts = [str(part) for part in files.records(recipe, kind.name, *window)]
            sql = _window_rows(kind, names, kind.rows(files.segments, parts))
            connection = stack.enter_context(_connected())
            found = connection.sql(sql, params={"recipe": recipe, "start": window[0], "end": window[1]})
            return found.to_arrow_table().cast(pa.schema([kind.schema.field(name) for name in names]))


_NAMES: dict[type[Record], RecordKind] = {Exposure: EXPOSURE, Outcome: OUTCOME, Comparison: COMPARISON}


def _line(record: Record) -> bytes:
    return b'{"%s":%s}\n' % (_NAMES[type(record)].name.encode(), record.model_dump_json().encode())


def _window_rows(kind: RecordKind, names: Sequence[str], rows: str) -> str:
    found = f'SELECT * FROM ({rows}) WHERE recipe = $recipe AND "at" >= $start AND "at" < $end'  # noqa: S608
    key = ", ".join(kind.key)
    if kind is OUTCOME:
        found = f'SELECT DISTINCT ON ({key}) * FROM ({found}) ORDER BY {key}, "at"'  # noqa: S608
    columns = ", ".join(f'"{name}"' for name in names)
    return f'SELECT {columns} FROM ({found}) ORDER BY "at", {key}'  # noqa: S608


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    with TemporaryDirectory(prefix="recflow-events-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "TimeZone": "UTC",
            "autoinstall_known_extensions": "false",
            "memory_limit": _MEMORY,
            "temp_directory": folder,
            "preserve_insertion_order": "false",
        }
        with duckdb.connect(config=config) as connection:
            connection.execute("SET enable_progress_bar = false")
            yield connection


@contextmanager
def _reading() -> Iterator[None]:
    with disk_errors(_READ):
        try:
            yield
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise StoreUnavailable(_READ, expected="its files", seen=str(error)) from error
