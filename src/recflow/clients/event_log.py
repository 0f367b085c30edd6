"""The event log on a local folder: segments of JSON lines, compacted to Parquet, read by DuckDB.

    <folder>/segments/<worker>-<opened at>-<random>.jsonl                      one line a record
    <folder>/parquet/recipe=<r>/kind=<exposure|outcome>/day=<UTC>/<segment>.parquet

A segment is finished when its writer has given up the lock or is dead. A record may stand in a segment and in Parquet
for a moment; readers take each id once. Locks need a local file system.
"""

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recflow.artifacts.events import Exposure, Outcome
from recflow.clients.segments import SegmentWriter, alone, disk_errors, finished
from recflow.errors import StoreUnavailable
from recflow.protocols import Clock

_LOG = logging.getLogger(__name__)
_TIME = pa.timestamp("us", tz="UTC")
_ITEM = pa.struct([("item_id", pa.string()), ("position", pa.int32()), ("score", pa.float64())])
EXPOSURES = pa.schema(
    [
        ("request_id", pa.string()),
        ("at", _TIME),
        ("recipe", pa.string()),
        ("user_key", pa.string()),
        ("anonymous", pa.bool_()),
        ("marked", pa.string()),
        ("epoch", pa.int64()),
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("assigned_version", pa.string()),
        ("served_version", pa.string()),
        ("fallback", pa.string()),
        ("query", pa.string()),
        ("items", pa.list_(_ITEM)),
        ("latency_ms", pa.float64()),
    ]
)
OUTCOMES = pa.schema(
    [
        ("outcome_id", pa.string()),
        ("request_id", pa.string()),
        ("at", _TIME),
        ("recipe", pa.string()),
        ("user_key", pa.string()),
        ("kind", pa.string()),
        ("item_id", pa.string()),
        ("value", pa.float64()),
    ]
)
_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    _TIME: "TIMESTAMPTZ",
}
_Window = tuple[datetime, datetime]


class DuckEventLog:
    """EventLog below one folder of this host, shared by any number of processes.

    A segment ends at `max_bytes` or `max_age_s`. `torn` counts the lines that `compact` could not read: the last
    line of a killed writer, which nobody was told is kept.
    """

    def __init__(self, folder: Path, clock: Clock, *, max_bytes: int = 16 << 20, max_age_s: float = 600) -> None:
        self._folder = folder
        self._segments = folder / "segments"
        self._writer = SegmentWriter(self._segments, clock, max_bytes, max_age_s)
        self.torn = 0

    def append(self, worker: str, records: Sequence[Exposure | Outcome]) -> None:
        """One write(2) for all records, fsync within a second. Raises StoreFull or StoreUnavailable: none is kept."""
        self._writer.write(worker, b"".join(map(_line, records)))

    def close(self) -> None:
        """Finish this process's segments, so that the next compaction takes them."""
        self._writer.close()

    def exposures(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """Exposures of a window; a few `columns` are much cheaper than all."""
        return self._read(_EXPOSURE, recipe, (start, end), columns)

    def outcomes(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """Outcomes of a window."""
        return self._read(_OUTCOME, recipe, (start, end), columns)

    def compact(self) -> int:
        """Move finished segments to Parquet; 0 at once while another process is doing it."""
        with disk_errors("the event log could not be compacted"), alone(self._folder / "compaction.lock") as free:
            if not free:
                return 0
            return sum(self._compact_one(path) for path in sorted(self._segments.glob("*.jsonl")))

    def _compact_one(self, path: Path) -> int:
        with disk_errors(f"{path.name} could not be compacted"), finished(path) as done:
            if not done:
                return 0
            with _connect() as connection:
                self._count_torn(path, _fetch(connection, _TORN, {"segments": [str(path)]})["torn"][0].as_py())
                moved = sum(self._move(connection, kind, path) for kind in _KINDS)
            path.unlink()
            return moved

    def _count_torn(self, path: Path, torn: int) -> None:
        self.torn += torn
        if torn:
            _LOG.warning("%s: %d torn lines were skipped (a killed writer leaves one)", path.name, torn)

    def _move(self, connection: duckdb.DuckDBPyConnection, kind: "_Kind", path: Path) -> int:
        rows = _fetch(connection, kind.segment_rows, {"segments": [str(path)]}).cast(kind.schema)
        keyed = rows.append_column("day", pc.strftime(rows["at"], format="%Y-%m-%d"))
        for group in keyed.group_by(["recipe", "day"]).aggregate([]).to_pylist():
            recipe, day = group["recipe"], group["day"]
            chosen = pc.and_(pc.equal(keyed["recipe"], recipe), pc.equal(keyed["day"], day))
            _publish(rows.filter(chosen), self._parquet(recipe, kind) / f"day={day}" / f"{path.stem}.parquet")
        return int(rows.num_rows)

    def _parquet(self, recipe: str, kind: "_Kind") -> Path:
        return self._folder / "parquet" / f"recipe={recipe}" / f"kind={kind.name}"

    def _read(self, kind: "_Kind", recipe: str, window: _Window, columns: Sequence[str]) -> pa.Table:
        with disk_errors("the event log could not be read"), ExitStack() as stack:
            # Segments are opened before Parquet is listed: what a compaction moves meanwhile is found in both, never
            # in neither, and an open file can still be read after it was removed.
            segments = [f"/dev/fd/{file.fileno()}" for file in self._open_segments(stack)]
            parts = [str(path) for path in self._parts(kind, recipe, window)]
            return _query(kind, recipe, window, columns or kind.schema.names, segments, parts)

    def _open_segments(self, stack: ExitStack) -> Iterator[BinaryIO]:
        for path in self._segments.glob("*.jsonl"):
            with suppress(FileNotFoundError):
                yield stack.enter_context(path.open("rb"))

    def _parts(self, kind: "_Kind", recipe: str, window: _Window) -> Iterator[Path]:
        first, last = (f"day={moment.astimezone(UTC):%Y-%m-%d}" for moment in window)
        for folder in self._parquet(recipe, kind).glob("day=*"):
            if first <= folder.name <= last:
                yield from folder.glob("*.parquet")


def _line(record: Exposure | Outcome) -> bytes:
    kind = b"exposure" if isinstance(record, Exposure) else b"outcome"
    return b'{"%s":%s}\n' % (kind, record.model_dump_json().encode())


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(_sql_fields(kind))})"
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    return _SQL_TYPES[kind]


def _sql_fields(fields: Iterable[pa.Field]) -> list[str]:
    return [f'"{field.name}" {_sql_type(field.type)}' for field in fields]


class _Kind:
    """One kind of record: its name in a line, its key, its columns, and how to read it from segments."""

    def __init__(self, name: str, key: str, schema: pa.Schema) -> None:
        self.name, self.key, self.schema = name, key, schema
        self.sql_type = f"STRUCT({', '.join(_sql_fields(schema))})"
        self.complete = f'{name}.recipe IS NOT NULL AND {name}."at" IS NOT NULL AND {name}.{key} IS NOT NULL'

    @property
    def segment_rows(self) -> str:
        """SQL that gives the kind's records of the files `$segments`."""
        return f"SELECT unnest({self.name}) FROM {_LINES} WHERE {self.complete}"  # noqa: S608 - no input in it


_EXPOSURE = _Kind("exposure", "request_id", EXPOSURES)
_OUTCOME = _Kind("outcome", "outcome_id", OUTCOMES)
_KINDS = (_EXPOSURE, _OUTCOME)
# With ignore_errors a line that is no JSON becomes a row of nulls.
_LINES = (
    "read_json($segments, format='newline_delimited', ignore_errors=true, maximum_object_size=16777216, columns={"
    + ", ".join(f"{kind.name}: '{kind.sql_type}'" for kind in _KINDS)
    + "})"
)
_TORN = f"SELECT count(*) AS torn FROM {_LINES} WHERE NOT ({_EXPOSURE.complete}) AND NOT ({_OUTCOME.complete})"  # noqa: S608


def _connect() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"TimeZone": "UTC", "autoinstall_known_extensions": "false"})


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any]) -> pa.Table:
    try:
        return connection.sql(sql, params=parameters).to_arrow_table()
    except duckdb.IOException as error:
        raise StoreUnavailable("the event log could not be read", expected="its files", seen=str(error)) from error


def _query(
    kind: _Kind, recipe: str, window: _Window, columns: Sequence[str], segments: list[str], parts: list[str]
) -> pa.Table:
    sources = {"segments": segments, "parts": parts}
    parameters: dict[str, Any] = {name: paths for name, paths in sources.items() if paths}
    schema = pa.schema([kind.schema.field(name) for name in columns])
    if not parameters:
        return schema.empty_table()
    selects = {"segments": kind.segment_rows, "parts": "SELECT * FROM read_parquet($parts, hive_partitioning=false)"}
    rows = " UNION ALL BY NAME ".join(selects[name] for name in parameters)
    names = ", ".join(f'"{name}"' for name in columns)
    window_rows = f'SELECT * FROM ({rows}) WHERE recipe = $recipe AND "at" >= $start AND "at" < $end'  # noqa: S608
    first_rows = f'SELECT DISTINCT ON ({kind.key}) * FROM ({window_rows}) ORDER BY {kind.key}, "at"'  # noqa: S608
    sql = f'SELECT {names} FROM ({first_rows}) ORDER BY "at", {kind.key}'  # noqa: S608
    with _connect() as connection:
        parameters |= {"recipe": recipe, "start": window[0], "end": window[1]}
        return _fetch(connection, sql, parameters).cast(schema)


def _publish(rows: pa.Table, path: Path) -> None:
    """The file appears whole or not at all, and is on the disk before its segment goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.parent / f".{uuid.uuid4().hex}"
    try:
        pq.write_table(rows, hidden, compression="zstd")
        _sync(hidden)
        hidden.replace(path)
        _sync(path.parent)
    finally:
        hidden.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
