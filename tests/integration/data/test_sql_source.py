"""A day from a table of a database: PostgreSQL where this host has it, and SQLite."""

import os
import tempfile
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from fakes.deliveries import Read, day, recipe
from fakes.real_postgres import find_postgres, running_postgres
from recflow.data.sources import open_source
from recflow.errors import BadConfiguration, BadData, SourceUnavailable

COLUMNS = {"event_id": "id", "at": "happened", "value": {"column": "price", "optional": True}, "query": "q"}


@pytest.fixture(scope="session")
def postgres():
    programs = find_postgres()
    if programs is None:
        message = "this host has no PostgreSQL server: apt-get install postgresql"
        if os.environ.get("RECFLOW_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    # A socket's path may have 107 bytes, and the server's user must be able to reach it.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with running_postgres(Path(folder), programs) as server:
            yield server


@pytest.fixture(params=["postgres", "sqlite"])
def url(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres").url
    return f"sqlite:///{tmp_path / 'shop.db'}"


def events_table(metadata, zoned=True):
    return sa.Table(
        "order",  # a keyword
        metadata,
        sa.Column("id", sa.String),
        sa.Column("happened", sa.DateTime(timezone=zoned)),
        sa.Column("price", sa.Numeric(12, 2)),
        sa.Column("q", sa.String),
    )


def fill(url, rows, *, zoned=True):
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    metadata = sa.MetaData()
    table = events_table(metadata, zoned)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        if rows:
            connection.execute(table.insert(), rows)


def event(number, **changes):
    at = day().start + timedelta(hours=1, seconds=number)
    return {"id": f"{number:03}", "happened": at, "price": "19.90", "q": "lamp", **changes}


def source(folder, url, columns=COLUMNS, *, zone="UTC", **table):
    (folder / "url").write_text(url + "\n")
    (folder / "url").chmod(0o600)
    sql = {"url_file": "url", "table": "order", "time_column": "happened", **table}
    section = {"adapter": "tables", "zone": zone, "events": [{"sql": sql, "columns": columns}]}
    return recipe(data={"source": section})


def test_the_rows_of_a_day_become_text(url, tmp_path):
    others = [event(8, happened=day().start - timedelta(seconds=1)), event(9, happened=day().end)]
    fill(url, [event(0), event(1, price=None, q="null"), *others])
    first, second = Read(source(tmp_path, url), tmp_path).rows(day()).to_pylist()
    assert (first["event_id"], first["value"], second["value"], second["query"]) == ("000", "19.90", None, "null")
    assert datetime.fromisoformat(first["at"]).replace(tzinfo=UTC) == event(0)["happened"]


def test_times_without_a_zone_are_by_the_clocks_of_the_zone_that_the_recipe_names(url, tmp_path):
    wall = ["2011-01-01 00:59", "2011-01-01 01:00", "2011-01-02 00:59", "2011-01-02 01:00"]
    fill(url, [event(n, happened=datetime.fromisoformat(text)) for n, text in enumerate(wall)], zoned=False)
    rows = Read(source(tmp_path, url, zone="Europe/Berlin"), tmp_path).rows(day())
    assert rows["event_id"].to_pylist() == ["001", "002"]
    assert rows["at"].to_pylist()[0] == "2011-01-01T00:00:00+00:00"
    with pytest.raises(BadConfiguration, match=r"happened of order has no zone.*data\.source\.zone"):
        Read(source(tmp_path, url, zone=""), tmp_path).rows(day())


def test_the_fingerprint_is_that_of_the_rows_in_whatever_order_they_lie(url, tmp_path):
    seen = []
    for rows in (
        [event(0), event(1)],
        [event(1), event(0)],
        [event(0), event(1), event(1)],
        [event(0), event(1, q="x")],
    ):
        fill(url, rows)
        seen.append(Read(source(tmp_path, url), tmp_path).fingerprint(day()))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def test_only_reading_tells_whether_rows_are_others_and_a_day_without_any_is_told_as_empty(url, tmp_path):
    fill(url, [event(0)])
    table = Read(source(tmp_path, url), tmp_path).source
    assert table.stamp(day()) == ""
    assert [table.fingerprint(day(number)).empty for number in range(2)] == [False, True]


def test_a_table_or_column_that_is_not_there_is_named(url, tmp_path):
    fill(url, [event(0)])
    with pytest.raises(BadConfiguration, match="orders"):
        Read(source(tmp_path, url, table="orders"), tmp_path).rows(day())
    with pytest.raises(BadData, match="order lacks the column colour"):
        Read(source(tmp_path, url, {**COLUMNS, "kind": "colour"}), tmp_path).rows(day())


def test_a_url_that_others_may_read_or_that_names_no_database_is_refused_and_never_told(tmp_path):
    settings = source(tmp_path, "magic://shop:secret@host/db")
    with pytest.raises(BadConfiguration, match="names no database") as raised:
        Read(settings, tmp_path).rows(day())
    assert "secret" not in str(raised.value)
    (tmp_path / "url").chmod(0o644)
    with pytest.raises(BadConfiguration, match="may be read by others"):
        Read(settings, tmp_path).rows(day())


def test_memory_does_not_grow_with_the_day(postgres, tmp_path):
    fill(postgres.url, [])
    with sa.create_engine(postgres.url).begin() as connection:
        row = "n::text, '2011-01-01 10:00:00+00'::timestamptz, 1, repeat('x', 200)"
        many = f"select {row} from generate_series(1, 400000) n"
        connection.execute(sa.text(f'insert into "order" {many}'))
    reader = open_source(source(tmp_path, postgres.url), tmp_path.as_uri())
    tracemalloc.start()
    delivery = reader.deliver(day(), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert delivery.records == 400_000
    assert peak < 60_000_000  # the rows are 80 MB of text alone


# What psycopg had open when the server went cannot be closed in order, and it says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_goes_away_while_it_is_read_is_told_and_the_next_try_succeeds(postgres, tmp_path, monkeypatch):
    fill(postgres.url, [])
    with sa.create_engine(postgres.url, poolclass=sa.NullPool).begin() as connection:
        many = "select n::text, '2011-01-01 10:00:00+00'::timestamptz, 1, 'x' from generate_series(1, 50000) n"
        connection.execute(sa.text(f'insert into "order" {many}'))
    reader = open_source(source(tmp_path, postgres.url), tmp_path.as_uri())
    rows = reader._reader.on(day(), tmp_path)
    (table,) = reader._reader.events
    from recflow.data.sources.batches import RowsDigest

    batches = rows._batches(table, [], RowsDigest())
    assert sum(batch.records for _, batch in (next(batches), next(batches))) > 0
    postgres.stop()
    try:
        with pytest.raises(SourceUnavailable, match="table order could not be read"):
            list(batches)
    finally:
        postgres.start()
    assert reader.deliver(day(), tmp_path).records == 50_000
