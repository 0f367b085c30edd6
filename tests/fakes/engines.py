"""The embedded engine as tests open it, one that loses a row, and one whose disk is full."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from recflow.engine import CannotCompute, Table
from recflow.engine.duckdb_engine import DuckEngine, open_duckdb

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


class FullEngine(LosingEngine):
    """A double: the embedded engine on a disk that is full in the middle of each file that it writes."""

    def write(self, table: Table, path: Path) -> None:
        path.write_bytes(b"PAR1 half of it")
        raise CannotCompute("no space left on the device")


@contextmanager
def full_engine(folder: Path) -> Iterator[FullEngine]:
    with duckdb_engine(folder) as engine:
        yield FullEngine(engine)
