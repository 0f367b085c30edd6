"""DuckDB, inside this process: the engine of one machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from recflow.engine import Table


class DuckEngine:
    """Computes in this process, in a database file, and spills to disk beyond its memory."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        self._backend, self._folder, self._names = backend, folder, count(1)

    def read(self, files: Sequence[Path]) -> Table:
        """The rows of Parquet files, columns joined by name."""
        paths = [str(path / "*.parquet") if path.is_dir() else str(path) for path in files]
        return self._backend.read_parquet(paths, union_by_name=True, hive_partitioning=False)

    def load(self, rows: pa.Table) -> Table:
        """The rows of a table, by way of a file."""
        path = self._folder / f"loaded_{next(self._names)}.parquet"
        pq.write_table(rows, path)
        return self.read([path])

    def keep(self, table: Table) -> Table:
        """The same rows, computed now, in the database file."""
        return self._backend.create_table(f"kept_{next(self._names)}", table)

    def write(self, table: Table, path: Path) -> None:
        """Write the rows to one Parquet file."""
        self._backend.to_parquet(table, path)

    def count(self, table: Table) -> int:
        """The number of rows."""
        return int(self.fetch(table.aggregate(rows=table.count()))["rows"][0].as_py())

    def fetch(self, table: Table) -> pa.Table:
        """The rows in memory."""
        return self._backend.to_pyarrow(table)


@contextmanager
def open_duckdb(folder: Path, *, memory_mb: int) -> Iterator[DuckEngine]:
    """An engine that keeps its tables and what does not fit into `memory_mb` in `folder`."""
    backend = ibis.duckdb.connect(
        folder / "engine.duckdb",
        memory_limit=f"{memory_mb}MB",
        temp_directory=str(folder / "spilled"),
        preserve_insertion_order=False,
    )
    try:
        yield DuckEngine(backend, folder)
    finally:
        backend.disconnect()
