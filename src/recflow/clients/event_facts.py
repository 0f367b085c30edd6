"""Facts of the event log, see `domain.matching`: made once for each file of records, at each look for open segments.

What users did in the finished days before a window is added up once, by the first look back from its start.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from recflow.clients.event_files import EventFiles, day_folder, forget_old_sums, publish
from recflow.clients.event_records import EXPOSURE, OUTCOME, RecordKind, paths_sql
from recflow.domain.matching import (
    ACTED,
    ANSWER_DAYS,
    JUDGED,
    KNOWN,
    NONE_ACTED,
    SHOWN,
    SKEW,
    acts_before,
    moment,
    searches_before,
    window_views,
)


def complete_facts(connection: duckdb.DuckDBPyConnection, files: EventFiles) -> None:
    """Make the files of facts that are missing, one at a time."""
    for recipe in files.recipes():
        for part in files.facts(recipe, EXPOSURE.name)[1]:
            _load(connection, "answers", EXPOSURE, recipe, [], [part])
            publish(connection.sql(SHOWN).to_arrow_table(), files.facts_of(part))
        filed, parts = files.facts(recipe, OUTCOME.name)
        if parts:
            _load(connection, "unfiled", EXPOSURE, recipe, files.segments, [])
        for part in parts:
            _load(connection, "outcomes", OUTCOME, recipe, [], [part])
            _number_acts(connection, files, recipe, filed)
            publish(connection.sql("SELECT * FROM numbered").to_arrow_table(), files.facts_of(part))
            filed.append(files.facts_of(part))


def complete_sums(
    connection: duckdb.DuckDBPyConnection, files: EventFiles, recipe: str, start: datetime, look_back: timedelta
) -> None:
    """Make the sums of the finished days before `start` that are missing, or were made of other facts."""
    for kind, rows, count in ((EXPOSURE, searches_before, "searches"), (OUTCOME, acts_before, "acts")):
        parts = _finished(files.facts(recipe, kind.name, start - look_back - SKEW, start)[0], start)
        if parts and not (path := files.sums_of(parts, (start - look_back, start))).exists():
            found = rows(_parquet(parts), start, look_back)
            alike = f"SELECT * REPLACE (sum({count})::bigint AS {count}) FROM ({found})"  # noqa: S608
            publish(connection.sql(f"{alike} GROUP BY ALL ORDER BY user_hash").to_arrow_table(), path)
            forget_old_sums(path.parent)


def lay_out_facts(
    connection: duckdb.DuckDBPyConnection,
    files: EventFiles,
    recipe: str,
    window: tuple[datetime, datetime],
    look_back: timedelta,
) -> None:
    """Create the views of EventLog.facts; what has no facts gets them in memory."""
    start, end = window
    searches, new_searches = files.facts(recipe, EXPOSURE.name, start - look_back - SKEW, end)
    # Listed once: what a compaction files meanwhile must not seem to have been told before.
    filed_acts, new_acts = files.facts(recipe, OUTCOME.name)
    _load(connection, "unfiled", EXPOSURE, recipe, files.segments, [])
    _load(connection, "answers", EXPOSURE, recipe, [], new_searches)
    connection.execute("INSERT INTO answers FROM unfiled")
    connection.execute(f"CREATE TEMP TABLE new_shown AS {SHOWN}")
    _load(connection, "outcomes", OUTCOME, recipe, files.segments, new_acts)
    _number_acts(connection, files, recipe, filed_acts)
    acts = [p for p in filed_acts if day_folder(start - look_back - SKEW) <= p.parent.name <= day_folder(end)]
    filed = EXPOSURE.rows([], list(map(str, files.records(recipe, EXPOSURE.name, start, end))))
    connection.execute(f"CREATE TEMP VIEW exposures AS {filed} UNION ALL BY NAME FROM unfiled")
    shown, acted = (
        _with_files(table, [part for part in parts if day_folder(start - SKEW) <= part.parent.name])
        for table, parts in (("new_shown", searches), ("numbered", acts))
    )
    connection.execute(window_views(shown, acted, start, end, look_back))
    for name, rows, table, parts in (
        ("searches_before", searches_before, "new_shown", searches),
        ("acts_before", acts_before, "numbered", acts),
    ):
        before = _before(
            files, rows, table, [part for part in parts if part.parent.name <= day_folder(start)], start, look_back
        )
        connection.execute(f"CREATE TEMP VIEW {name} AS {before}")


def _before(
    files: EventFiles,
    rows: Callable[[str, datetime, timedelta], str],
    table: str,
    parts: Sequence[Path],
    start: datetime,
    look_back: timedelta,
) -> str:
    """`rows` of what came before `start`, of `parts` by day: of finished days from their sums, where they are made."""
    done = _finished(parts, start)
    if not done or not (sums := files.sums_of(done, (start - look_back, start))).exists():
        return rows(_with_files(table, parts), start, look_back)
    rest = _with_files(table, parts[len(done) :])
    return f"{rows(rest, start, look_back)} UNION ALL BY NAME FROM {_parquet([sums])}"


def _finished(parts: Sequence[Path], start: datetime) -> list[Path]:
    """Files of the days that were over at `start`: hardly any comes after it."""
    return [part for part in parts if part.parent.name < day_folder(start - SKEW)]


def _with_files(table: str, parts: Sequence[Path]) -> str:
    return f"(FROM {table} UNION ALL BY NAME FROM {_parquet(parts)})" if parts else table


def _number_acts(
    connection: duckdb.DuckDBPyConnection, files: EventFiles, recipe: str, filed_acts: Sequence[Path]
) -> None:
    """From `outcomes` to the acts of `numbered`, compared with the answers and the acts that are filed already."""
    [times] = connection.execute('SELECT epoch_us(min("at")), epoch_us(max("at")) FROM outcomes').fetchall()
    first, last = (moment(time or 0) for time in times)
    span = (first - timedelta(days=ANSWER_DAYS), last + SKEW)
    filed = EXPOSURE.rows([], list(map(str, files.records(recipe, EXPOSURE.name, *span))))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE answers AS SELECT DISTINCT ON (request_id) * FROM "  # noqa: S608
        f"({filed} UNION ALL BY NAME FROM unfiled) SEMI JOIN outcomes USING (request_id)"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE judged AS {JUDGED}")
    [(oldest,)] = connection.execute("SELECT min(shown_us) FROM judged").fetchall()
    day = day_folder(moment(oldest or 0))
    acts = [part for part in filed_acts if day <= part.parent.name] if oldest else []
    known = KNOWN.format(acted=_parquet(acts) if acts else NONE_ACTED, oldest=oldest or 0)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE known AS {known}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE numbered AS {ACTED}")


def _load(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    kind: RecordKind,
    recipe: str,
    segments: Sequence[str],
    parts: Sequence[Path],
) -> None:
    rows = kind.rows(segments, list(map(str, parts)))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS FROM ({rows}) WHERE recipe = $recipe", {"recipe": recipe}
    )


def _parquet(parts: Sequence[Path]) -> str:
    return f"read_parquet({paths_sql(list(map(str, parts)))}, hive_partitioning=false)"
