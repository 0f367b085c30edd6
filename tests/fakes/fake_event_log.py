from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recflow.artifacts.events import Comparison, Exposure, Outcome, Record
from recflow.clients.event_records import COMPARISONS, EXPOSURES, OUTCOMES
from recflow.domain.matching import (
    ACTED,
    JUDGED,
    KNOWN,
    NONE_ACTED,
    SHOWN,
    acts_before,
    searches_before,
    window_views,
)
from recflow.errors import StoreFull

_KINDS = ((Exposure, EXPOSURES), (Outcome, OUTCOMES), (Comparison, COMPARISONS))


class FakeEventLog:
    """Records in two lists, or fed as tables. While `full` is set nothing can be appended."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.records: list[Record] = list(records)
        self.tables = [tuple(schema.empty_table() for _, schema in _KINDS)]
        self.full = False
        # What was matched last: many looks at one log match once.
        self._facts: dict[tuple[str, int, int], dict[str, pa.Table]] = {}

    def append(self, worker: str, records: Sequence[Record]) -> None:
        if self.full:
            raise StoreFull("the log could not be written")
        self.records.extend(records)

    def feed(self, exposures: pa.Table, outcomes: pa.Table) -> None:
        """Append whole tables: the columns that are there, the others as if nothing had been said of them."""
        self.tables.append((_complete(exposures, EXPOSURES), _complete(outcomes, OUTCOMES), COMPARISONS.empty_table()))

    def exposures(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        rows = _window(self._all(0), recipe, start, end).sort_by([("at", "ascending"), ("request_id", "ascending")])
        return rows.select(list(columns)) if columns else rows

    def outcomes(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        key = ["outcome_id", "request_id", "item_id", "kind"]
        rows = _window(self._all(1), recipe, start, end)
        rows = rows.sort_by([(name, "ascending") for name in ("at", *key)])
        numbered = rows.append_column("row", pa.array(range(rows.num_rows), pa.int64()))
        rows = rows.take(numbered.group_by(key).aggregate([("row", "min")])["row_min"].combine_chunks().sort())
        return rows.select(list(columns)) if columns else rows

    def comparisons(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        rows = _window(self._all(2), recipe, start, end).sort_by([("at", "ascending"), ("request_id", "ascending")])
        return rows.select(list(columns)) if columns else rows

    def erase_comparisons(self, recipe: str, user_keys: Collection[str]) -> int:
        nothing = {"user_key": "", "query": "", "items": (), "erased": True}
        self.records = [
            record.model_copy(update=nothing)
            if isinstance(record, Comparison) and record.recipe == recipe and record.user_key in user_keys
            else record
            for record in self.records
        ]
        return 0

    @contextmanager
    def facts(
        self, recipe: str, start: datetime, end: datetime, *, look_back: timedelta = timedelta(0)
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        written = (recipe, len(self.records), len(self.tables))
        if written not in self._facts:
            self._facts = {written: self._matched(recipe)}
        with duckdb.connect() as connection:
            for name, rows in self._facts[written].items():
                connection.register(name, rows)
            connection.execute(window_views("all_shown", "all_acted", start, end, look_back))
            for name, rows in (
                ("searches_before", searches_before("all_shown", start, look_back)),
                ("acts_before", acts_before("all_acted", start, look_back)),
            ):
                connection.execute(f"create temp view {name} as {rows}")
            yield connection

    def _matched(self, recipe: str) -> dict[str, pa.Table]:
        exposures, outcomes = (rows.filter(pc.equal(rows["recipe"], recipe)) for rows in (self._all(0), self._all(1)))
        with duckdb.connect() as connection:
            connection.register("answers", exposures)
            connection.register("outcomes", outcomes)
            connection.execute(f"create temp table judged as {JUDGED}")
            connection.execute(f"create temp table known as {KNOWN.format(acted=NONE_ACTED, oldest=0)}")
            shown, acted = (connection.sql(sql).to_arrow_table() for sql in (SHOWN, ACTED))
        return {"exposures": exposures, "all_shown": shown, "all_acted": acted}

    def compact(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is ever open."""

    def _all(self, which: int) -> pa.Table:
        model, schema = _KINDS[which]
        rows = [record.model_dump() for record in self.records if isinstance(record, model)]
        written = pa.Table.from_pylist([{k: _plain(v) for k, v in row.items()} for row in rows], schema=schema)
        return pa.concat_tables([written, *(tables[which] for tables in self.tables)])


def _window(rows: pa.Table, recipe: str, start: datetime, end: datetime) -> pa.Table:
    inside = pc.and_(pc.greater_equal(rows["at"], pa.scalar(start)), pc.less(rows["at"], pa.scalar(end)))
    return rows.filter(pc.and_(pc.equal(rows["recipe"], recipe), inside))


_MEANT = {
    "at": None,
    "anonymous": False,
    "erased": False,
    "value": 0.0,
    "latency_ms": 0.0,
    "schema_version": 2,
    "epoch": 1,
}


def _complete(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        rows[field.name].cast(field.type)
        if field.name in rows.column_names
        else pa.array([_MEANT.get(field.name, [] if pa.types.is_nested(field.type) else "")], field.type).take(
            pa.array([0] * rows.num_rows, pa.int32())
        )
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return list(value.items())
    return str(value) if isinstance(value, str) else value
