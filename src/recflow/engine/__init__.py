"""Tables that need not fit into memory: one set of expressions, computed here (DuckDB) or on many machines (Spark).

Rooms read files lazily, combine them with plain relational verbs and the expressions of `expressions.py`, and write or
fetch the result. The same input gives the same rows on both engines.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

# A table and a column of ibis, which this room alone imports.
Table = Any
Value = Any


class CannotCompute(Exception):
    """The engine refused an expression, or failed on a value."""


class Engine(Protocol):
    """Computes tables. What it was given to keep is gone when it is closed."""

    def read(self, files: Sequence[Path]) -> Table:
        """The rows of Parquet files, columns joined by name; an entry may be a folder of such files."""

    def read_each(self, files: Mapping[str, Path], name: str) -> Table:
        """The rows of several files or folders, with the key of each in the column `name`."""

    def load(self, rows: pa.Table) -> Table:
        """The rows of a small table of this process."""

    def keep(self, table: Table) -> Table:
        """The same rows, computed now and once, wherever they are used."""

    def write(self, table: Table, path: Path) -> None:
        """Write the rows as Parquet to `path`, which becomes one file or a folder of files."""

    def count(self, table: Table) -> int:
        """The number of rows."""

    def fetch(self, table: Table) -> pa.Table:
        """A small result, with every digit of its numbers; times are in UTC without saying so."""


OpenEngine = Callable[[Path], AbstractContextManager[Engine]]
"""Opens an engine that keeps and spills in a folder, and closes it at the end of the `with` block."""


def parquet_files(path: Path) -> list[Path]:
    """The files of what an engine wrote: one, or those of a folder in the order of their rows."""
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]
