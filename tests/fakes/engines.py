"""The embedded engine as tests open it, and doubles: it loses a row, lets a query leak, has a full disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from recflow.engine import CannotCompute, Table
from recflow.engine.duckdb_engine import DuckEngine, open_duckdb
from recflow.engine.expressions import when

duckdb_engine = partial(open_duckdb, memory_mb=512)


class LosingEngine:
    """A double: the embedded engine, but for the last row of each file that it writes."""

    def __init__(self, engine: DuckEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def write(self, table: Table, path: Path) -> None:
        self._engine.write(table, path)
        rows = pq.read_table(path)
        pq.write_table(rows.slice(0, max(0, rows.num_rows - 1)), path)


@contextmanager
def losing_engine(folder: Path) -> Iterator[LosingEngine]:
    with duckdb_engine(folder) as engine:
        yield LosingEngine(engine)


class LeakingEngine:
    """A double: the embedded engine, but for one item, whose pairs are held out whatever their query's split is."""

    def __init__(self, engine: DuckEngine, item: str) -> None:
        self._engine, self._item = engine, item

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def keep(self, table: Table) -> Table:
        kept = self._engine.keep(table)
        if not {"split", "item_id"} <= {*kept.columns}:
            return kept
        return self._engine.keep(kept.mutate(split=when(kept.item_id == self._item, "test", kept.split)))


@contextmanager
def leaking_engine(folder: Path, *, item: str) -> Iterator[LeakingEngine]:
    with duckdb_engine(folder) as engine:
        yield LeakingEngine(engine, item)


class FullEngine(LosingEngine):
    """A double: the embedded engine on a disk that is full in the middle of each file that it writes."""

    def write(self, table: Table, path: Path) -> None:
        path.write_bytes(b"PAR1 half of it")
        raise CannotCompute("no space left on the device")


@contextmanager
def full_engine(folder: Path) -> Iterator[FullEngine]:
    with duckdb_engine(folder) as engine:
        yield FullEngine(engine)
