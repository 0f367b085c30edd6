"""SQLite as the processes of one Airflow can share it.

SQLite opens a transaction by SAVEPOINT as a reader. When it then wants to write and another process has written since,
it may not wait: it fails at once with "database is locked", whatever the timeout. Airflow's backfills begin so. Here
such a transaction is a writer from its first statement, and waits for its turn like every other.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        if sql.startswith("SAVEPOINT") and not self.connection.in_transaction:
            super().execute("BEGIN IMMEDIATE")
        super().execute(sql, parameters)
        return self


class SharedConnection(sqlite3.Connection):
    """A connection whose transactions that open with a savepoint take their turn to write at once."""

    def cursor(self, factory: Any = _Cursor) -> Any:
        """A cursor that knows of savepoints."""
        return super().cursor(factory)


# What Airflow hands to every connection; `[database] sql_alchemy_connect_args` names it.
CONNECT_ARGS: dict[str, Any] = {"factory": SharedConnection}


def let_readers_pass_writers(path: Path) -> None:
    """Write-ahead logging, a property of the file: who reads does not keep the others from writing."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
