"""Events from the tables of a recipe, with the texts of its catalogue: streamed, mapped, written as Parquet."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recflow.artifacts.digests import digest_json
from recflow.artifacts.manifests import Interval
from recflow.config.sections.sources import DELIVERY_COLUMNS, ITEM_COLUMNS, ColumnRule, SourceSection, SqlTable, Table
from recflow.data.sources import Delivery, Fingerprint, Source
from recflow.data.sources.batches import Batch, RowsDigest
from recflow.data.sources.catalogue import with_catalogue
from recflow.data.sources.columns import make_column, refuse_wall_times
from recflow.data.sources.customary import catalogue_table, event_tables
from recflow.data.sources.files import FileReader, refuse_missing
from recflow.data.sources.places import Place, full_disk_is_told
from recflow.data.sources.spread import is_of_day
from recflow.data.sources.sql_rows import read_sql
from recflow.errors import BadData

# `source_file` and `source_row` say where a record comes from; `damage` why it could not be read, null when it could.
_NOTHING: tuple[object, ...] = (
    [],
    RowsDigest().hexdigest,
)  # of no files, and of files and tables without a row of the day
ABOUT = (("source_file", pa.string()), ("source_row", pa.int64()), ("damage", pa.string()))


class TableReader:
    """A recipe's `data.source`, whatever its adapter is called: its tables and the place where they are."""

    def __init__(self, section: SourceSection, uri: str) -> None:
        self.section, self.place = section, Place(uri)
        self.events, self.catalogue = event_tables(section), catalogue_table(section)

    def on(self, interval: Interval, folder: Path) -> "Reading":
        """The tables of a day, to be read by way of `folder`."""
        return Reading(self, interval, folder)


class Tables(Source):
    """Events from files and databases."""

    def __init__(self, reader: TableReader) -> None:
        self._reader = reader

    @property
    def note(self) -> str:
        """Where made-up days come from, and which rows are left out."""
        spread = [
            f"rows have no date: each was given one of {table.spread.days} days from {table.spread.first_day} by a hash"
            f" of its {table.spread.column}"
            for table in self._reader.events
            if table.spread
        ]
        only = [
            f"rows of another {name} than the recipe names are left out"
            for table in self._reader.events
            for name in table.only
        ]
        return "; ".join(spread + only)

    def fingerprint(self, interval: Interval) -> Fingerprint:
        """The digest of the day's files by name, or of its rows where a file or table holds more than the day."""
        with TemporaryDirectory(prefix="source-") as scratch, full_disk_is_told():
            return self._reader.on(interval, Path(scratch)).fingerprint()

    def stamp(self, interval: Interval) -> str:
        """Names, sizes and times of the files that give the day's rows and texts; empty with a database's table."""
        with TemporaryDirectory(prefix="source-") as scratch:
            return self._reader.on(interval, Path(scratch)).stamp()

    def deliver(self, interval: Interval, folder: Path) -> Delivery:
        """The day's rows in one Parquet file; BadData for files that are missing, cut, or no tables of records."""
        with full_disk_is_told():
            reading = self._reader.on(interval, folder)
            events = folder / "events.parquet"
            records = reading.write(self._reader.events, DELIVERY_COLUMNS, events)
            delivered = reading.add_catalogue(events)
        return Delivery((delivered,), records, digest_json(reading.digests))


class Reading:
    """One day's tables on their way into `folder`; `digests` grows by one for each table that was read."""

    def __init__(self, reader: TableReader, interval: Interval, folder: Path) -> None:
        self._reader, self._interval, self._folder = reader, interval, folder
        self._place, self._zone = reader.place, reader.section.zone
        self._files = FileReader(reader.place, folder, reader.section.max_unpacked_gb)
        self.digests: list[object] = []

    def add_catalogue(self, events: Path) -> Path:
        """The events with the texts of their items, in another file; `events` is removed."""
        if self._reader.catalogue is None:
            return events
        items, delivered = self._folder / "catalogue.parquet", self._folder / "delivered.parquet"
        self.write([self._reader.catalogue], ("item_id", *ITEM_COLUMNS), items)
        with_catalogue(events, items, delivered)
        events.unlink()
        items.unlink()
        return delivered

    def write(self, tables: Iterable[Table], columns: Sequence[str], target: Path) -> int:
        """Write the rows of some tables as columns of text with what is told ABOUT them; how many they are."""
        schema = pa.schema([*((name, pa.string()) for name in columns), *ABOUT])
        records = 0
        with pq.ParquetWriter(target, schema) as writer:
            for number, table in enumerate(tables, start=1):
                digest, names = RowsDigest(), self._names(table)
                self._refuse_none(table, names)
                for name, batch in self._batches(table, names, digest):
                    place = name if number == 1 else f"{name} (table {number})"  # tables may read the same file
                    writer.write_batch(self._mapped(table, place, batch, schema))
                    records += batch.records
                self.digests.append(digest.hexdigest if _counts_rows(table) else self._files.digests(names))
        return records

    def fingerprint(self, events: Sequence[object] = ()) -> Fingerprint:
        """What `digests` tell when all tables were read, after those of `events` that another reader has read."""
        own = [*events, *(self._fingerprint(table) for table in self._reader.events)]
        catalogue = self._reader.catalogue
        everything = [*own, self._fingerprint(catalogue)] if catalogue else own
        return Fingerprint(
            digest=digest_json(everything),
            events=digest_json(everything if catalogue and catalogue.dated else own),
            empty=all(digest in _NOTHING for digest in own),
        )

    def stamp(self) -> str:
        """The stamp of all files but those of a catalogue that all days share; empty with a database's table."""
        catalogue = self._reader.catalogue
        tables = [*self._reader.events, *([catalogue] if catalogue and catalogue.dated else [])]
        if any(table.sql for table in tables):
            return ""
        return digest_json([self._place.stamps(self._names(table)) for table in tables])

    def _fingerprint(self, table: Table) -> object:
        names = self._names(table)
        if _counts_rows(table):
            try:
                digest = RowsDigest()
                for _ in self._batches(table, names, digest):
                    pass
            except BadData:  # the bytes of what cannot be read tell one delivery from another as well
                return [[name, self._place.digest(name)] for name in names]
            return digest.hexdigest
        return [[name, self._place.digest(name)] for name in names]

    def _names(self, table: Table) -> list[str]:
        find = self._place.as_of if table is self._reader.catalogue else self._place.of_day
        return find(table.files, self._interval.label)

    def _refuse_none(self, table: Table, names: Sequence[str]) -> None:
        if table.files and not names:
            what = "texts" if table is self._reader.catalogue else "events"
            raise BadData(
                f"there are no {what} of {self._interval.label}", expected=" or ".join(table.files), seen="no file"
            )

    def _batches(self, table: Table, names: Sequence[str], digest: RowsDigest) -> Iterator[tuple[str, Batch]]:
        wanted, required = _wanted(table), _required(table)
        found = (
            self._sql(table.sql, wanted, required) if table.sql else self._files.read(table, names, wanted, required)
        )
        for name, read in found:
            batch = self._of_day(table, read)
            if _counts_rows(table):
                digest.add([batch.column(column) for column in wanted] + [batch.damage])
            yield name, batch

    def _sql(self, sql: SqlTable, wanted: Sequence[str], required: set[str]) -> Iterator[tuple[str, Batch]]:
        with closing(read_sql(sql, self._place.folder, self._interval, wanted, zone=self._zone)) as batches:
            for batch in batches:
                refuse_missing(sql.table, required, set(batch.columns))
                yield sql.table, batch

    def _of_day(self, table: Table, batch: Batch) -> Batch:
        for column, values in table.only.items():
            batch = batch.only(pc.is_in(batch.column(column), pa.array(values)))
        if table.spread:
            ids = batch.column(table.spread.column).to_pylist()
            batch = batch.only(
                pa.array([is_of_day(table.spread, name or "", self._interval.label) for name in ids], pa.bool_())
            )
        if table.own_times:
            times = self._made("at", table.columns["at"], batch).to_pylist()
            batch = batch.only(pa.array([_inside(time, self._interval) for time in times], pa.bool_()))
        return batch

    def _made(self, column: str, rule: ColumnRule, batch: Batch) -> pa.Array:
        is_wall_time = column == "at" and self._zone and not rule.time
        rule = rule.model_copy(update={"time": ("iso",)}) if is_wall_time else rule
        return make_column(rule, batch, self._interval, self._zone)

    def _mapped(self, table: Table, name: str, batch: Batch, schema: pa.Schema) -> pa.RecordBatch:
        made: dict[str, pa.Array] = {column: self._made(column, rule, batch) for column, rule in table.columns.items()}
        if "at" in made:
            refuse_wall_times(made["at"], batch, name)
        about = {"source_file": pa.repeat(name, batch.records), "source_row": batch.rows, "damage": batch.damage}
        nothing = pa.nulls(batch.records, pa.string())
        return pa.record_batch([{**made, **about}.get(column, nothing) for column in schema.names], schema=schema)


def _counts_rows(table: Table) -> bool:
    """Whether a table's files hold more than the day, so that their bytes say nothing about it."""
    return bool(table.sql or table.spread or table.own_times)


def _wanted(table: Table) -> tuple[str, ...]:
    columns = {name for rule in table.columns.values() for name in rule.columns}
    return tuple(sorted(columns | _required(table)))


def _required(table: Table) -> set[str]:
    columns = {name for rule in table.columns.values() if not rule.optional for name in rule.columns}
    return columns | set(table.only) | ({table.spread.column} if table.spread else set())


def _inside(time: str | None, interval: Interval) -> bool:
    """Whether a time is in the interval; one that cannot be read is, so that no row is in nobody's day."""
    try:
        moment = datetime.fromisoformat(time or "")
    except ValueError:
        return True
    return moment.tzinfo is None or interval.start <= moment < interval.end
