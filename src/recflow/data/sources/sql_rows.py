"""A table of a database, in batches from a cursor of the server: a day larger than memory is no trouble."""

import json
import stat
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from recflow.artifacts.manifests import Interval
from recflow.config.sections.sources import SqlTable
from recflow.data.sources.batches import RECORDS_A_BATCH, Batch, texts, whole_batch
from recflow.errors import BadConfiguration, BadData, SourceUnavailable


def read_sql(
    table: SqlTable, folder: Path, interval: Interval, wanted: Sequence[str], *, zone: str
) -> Generator[Batch, None, None]:
    """Batches with those of the `wanted` columns that the table has, the first one without records.

    Rows with start <= time < end; a time column without a zone is by the clocks of `zone`.
    Raises BadConfiguration for a URL or a table that is not there, SourceUnavailable when the server goes away.
    """
    import sqlalchemy as sa

    try:
        engine = sa.create_engine(_url(folder / table.url_file), poolclass=sa.NullPool)
        with engine.connect().execution_options(stream_results=True, yield_per=RECORDS_A_BATCH) as connection:
            found = sa.Table(table.table, sa.MetaData(), schema=table.db_schema or None, autoload_with=connection)
            with connection.execute(_select(found, table, wanted, _bounds(found, table, interval, zone))) as result:
                yield from _rows(result)
    except sa.exc.NoSuchTableError as error:
        raise BadConfiguration("the table is not there", expected=table.table, seen="no such table") from error
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        raise BadConfiguration(
            f"{table.url_file} names no database", expected="a URL of SQLAlchemy", seen=type(error).__name__
        ) from error
    except sa.exc.DBAPIError as error:
        seen = type(error.orig).__name__ if error.orig else type(error).__name__
        raise SourceUnavailable(f"the table {table.table} could not be read", expected="rows", seen=seen) from error


def _url(path: Path) -> str:
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(
            f"{path.name} cannot be read", expected="a file with a database's URL", seen=str(error)
        ) from error
    if mode & stat.S_IRWXO:
        seen = f"mode {stat.S_IMODE(mode):o}"
        raise BadConfiguration(f"{path.name} may be read by others", expected="a file of its owner alone", seen=seen)
    return text


def _bounds(found: Any, table: SqlTable, interval: Interval, zone: str) -> tuple[datetime, datetime]:
    if table.time_column in found.c and getattr(found.c[table.time_column].type, "timezone", False):
        return interval.start, interval.end
    if not zone:
        raise BadConfiguration(
            f"{table.time_column} of {table.table} has no zone",
            expected="data.source.zone, which zone's clocks it is by",
            seen="none",
        )
    start, end = (moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in (interval.start, interval.end))
    return start, end


def _select(found: Any, table: SqlTable, wanted: Sequence[str], bounds: tuple[datetime, datetime]) -> Any:
    import sqlalchemy as sa

    columns = [found.c[name] for name in wanted if name in found.c]
    if table.time_column not in found.c or not columns:
        missing = table.time_column if columns else ", ".join(wanted)
        raise BadData(
            f"{table.table} lacks {missing}", expected="a column of the table", seen=", ".join(found.c.keys())
        )
    time = found.c[table.time_column]
    return sa.select(*columns).where(time >= bounds[0], time < bounds[1])


def _rows(result: Any) -> Iterator[Batch]:
    names, records = list(result.keys()), 0
    yield whole_batch({name: texts([]) for name in names}, 1, 0)
    for some in result.partitions():
        columns = zip(*some, strict=True)
        told = {name: texts([_as_text(value) for value in values]) for name, values in zip(names, columns, strict=True)}
        yield whole_batch(told, records + 1, len(some))
        records += len(some)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
