"""DuckDB, inside this process: the engine of one machine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from recflow.engine import CannotCompute, Table, parquet_files


class DuckEngine:
    """Computes in this process, in a database file, and spills to disk beyond its memory."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        self._backend, self._folder, self._names = backend, folder, count(1)

    def read(self, files: Sequence[Path]) -> Table:
        """The rows of Parquet files, columns joined by name."""
        return self._backend.read_parquet(
            [str(file) for path in files for file in parquet_files(path)], union_by_name=True, hive_partitioning=False
        )

    def read_each(self, files: Mapping[str, Path], name: str) -> Table:
        """The rows of several files or folders, with the key of each in the column `name`."""
        keys = {str(file): key for key, path in files.items() for file in parquet_files(path)}
        rows = self._backend.read_parquet([*keys], union_by_name=True, hive_partitioning=False, filename="read_from")
        named = self.load(pa.table({"read_from": [*keys], name: [*keys.values()]}))
        return rows.inner_join(named, "read_from").drop("read_from")

    def load(self, rows: pa.Table) -> Table:
        """The rows of a table, by way of a file."""
        path = self._folder / f"loaded_{next(self._names)}.parquet"
        pq.write_table(rows, path)
        return self.read([path])

    def keep(self, table: Table) -> Table:
        """The same rows, computed now, in the database file."""
        with _telling():
            return self._backend.create_table(f"kept_{next(self._names)}", table)

    def write(self, table: Table, path: Path) -> None:
        """Write the rows to one Parquet file."""
        with _telling():
            self._backend.to_parquet(table, path)

    def count(self, table: Table) -> int:
        """The number of rows."""
        return int(self.fetch(table.aggregate(rows=table.count()))["rows"][0].as_py())

    def fetch(self, table: Table) -> pa.Table:
        """The rows in memory."""
        with _telling():
            return self._backend.to_pyarrow(table)


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise CannotCompute(str(error)) from error


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
