"""Two connections to one database, as two processes of Airflow have them."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy

from host.sqlite import CONNECT_ARGS


def engine(path: Path, **connect_args: object) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(f"sqlite:///{path}?timeout=5", connect_args=connect_args)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shared.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE runs (name TEXT)")
    connection.close()
    return path


def backfill(connection: sqlalchemy.Connection, between) -> None:
    """What Airflow does for a day: a savepoint, a look, and then a row."""
    with connection.begin_nested():
        connection.execute(sqlalchemy.text("SELECT count(*) FROM runs")).scalar_one()
        between()
        connection.execute(sqlalchemy.text("INSERT INTO runs VALUES ('ours')"))


def write_elsewhere(path: Path, timeout_s: float) -> None:
    other = sqlite3.connect(path, timeout=timeout_s)
    try:
        with other:
            other.execute("INSERT INTO runs VALUES ('theirs')")
    finally:
        other.close()


def names(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM runs")]
    finally:
        connection.close()


def test_a_transaction_that_opens_with_a_savepoint_keeps_others_from_writing_until_it_is_over(database: Path):
    with engine(database, **CONNECT_ARGS).connect() as connection:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            backfill(connection, lambda: write_elsewhere(database, timeout_s=0))
        backfill(connection, lambda: None)
        connection.commit()
    write_elsewhere(database, timeout_s=5)
    assert names(database) == ["ours", "theirs"]


def test_the_plain_connection_fails_at_once_which_is_why_ours_exists(database: Path):
    with engine(database).connect() as connection, pytest.raises(sqlalchemy.exc.OperationalError, match="locked"):
        backfill(connection, lambda: write_elsewhere(database, timeout_s=5))


def test_what_a_savepoint_took_back_is_not_kept(database: Path):
    with engine(database, **CONNECT_ARGS).connect() as connection:
        with connection.begin_nested() as nested:
            connection.execute(sqlalchemy.text("INSERT INTO runs VALUES ('ours')"))
            nested.rollback()
        connection.commit()
    assert names(database) == []


def test_nothing_is_kept_before_the_commit(database: Path):
    with engine(database, **CONNECT_ARGS).connect() as connection:
        backfill(connection, lambda: None)
        assert names(database) == []
        connection.rollback()
    assert names(database) == []
