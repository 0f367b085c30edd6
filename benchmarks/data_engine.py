"""A day cleaned, judged and written: against the same job by hand in SQL, and against reading and writing alone.

Each job runs in a process of its own, one after the other in one run; what is imported is not counted. `python -m
benchmarks.data_engine 50` does it for fifty million events, which takes long and is no part of `make bench`.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.data.rows import CARRIED, COLUMNS, DAMAGE

DAY = Interval(label="2011-01-01", start=datetime(2011, 1, 1, tzinfo=UTC), end=datetime(2011, 1, 2, tzinfo=UTC))
RECIPE = Recipe.model_validate({"name": "bench", "owner": "benchmarks", "data": {"source": {"adapter": "shop"}}})
ITEMS, QUERIES, BATCH = 50_000, 20_000, 500_000
MEMORY_MB = 1024
_TEXT = r"""case when regexp_matches({0}, '\A[!-%''-;=?-~]+( [!-%''-;=?-~]+)*\z') then {0} else nullif(trim(
  regexp_replace(regexp_replace(nfc_normalize({0}), '<[^<>]*>', ' ', 'g'), '\s+', ' ', 'g')), '') end"""
_TEXTS = ", ".join(f"{_TEXT.format(name)} as {name}" for name in ("query", "title", "description"))
_IDS = ", ".join(
    f"nullif(trim({name}), '') as {name}" for name in ("event_id", "kind", "request_id", "user_key", "item_id")
)
_ALL = ", ".join(f'"{name}"' for name in COLUMNS)
# What somebody would write who knew the day: the same rows, without counts of what was mended or examples.
_BY_HAND = f"""
create view delivered as select * from read_parquet($file);
create table repeated as select source_row from (
  select source_row, row_number() over (partition by {_ALL} order by source_row) as place from delivered
  where hash({_ALL}) in (select hash({_ALL}) as h from delivered group by h having count(*) > 1)) where place > 1;
create table typed as select source_row, {_IDS}, {_TEXTS}, try_cast("at" as timestamptz) as "at",
  try_cast(position as double) as position, try_cast(grade as double) as grade,
  coalesce(try_cast(value as double), 0) as value from delivered anti join repeated using (source_row);
create table unshown as select source_row from typed acts where kind in ('click', 'cart', 'purchase') and not exists (
  from typed shown where kind = 'impression' and shown.request_id = acts.request_id and shown.item_id = acts.item_id);
create table busy as select user_key, date_trunc('minute', "at") as minute from typed group by all
  having count(*) > 20 and count(distinct request_id) > 20;
create table refused as select source_row from typed where event_id is null or kind is null or query is null
  or item_id is null or title is null or "at" is null or position is null or request_id is null or user_key is null
  or not position between 1 and 100000 or value < 0
  or kind not in ('judgement', 'impression', 'click', 'cart', 'purchase')
  or not ("at" between '2011-01-01 00:00:00+00' and '2011-01-02 00:30:00+00') or contains(query, chr(65533))
  or contains(title, chr(65533)) or source_row in (from unshown)
  or (user_key, date_trunc('minute', "at")) in (from busy);
create table unique_ids as select count(*) - count(distinct event_id) as again from typed;
copy (select event_id, "at", kind, request_id, user_key, query, item_id, title, description,
  coalesce(position, 0)::integer as position, grade::float as grade, value::float as value
  from typed anti join refused using (source_row)) to $rows (format parquet);
copy (select * from delivered semi join refused using (source_row)) to $quarantine (format parquet)"""  # noqa: S608


def write_events(path: Path, rows: int) -> None:
    """A day of searches of nine items, each followed by a click on the last, as text as it is delivered."""
    writer = None
    for first in range(0, rows, BATCH):
        table = _events(np.arange(first, min(first + BATCH, rows)), rows)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _events(number: np.ndarray, rows: int) -> pa.Table:
    search, place = number // 10, number % 10
    is_click = place == 9
    shown = search * 10 + np.where(is_click, 8, place)
    item, query = shown * 7919 % ITEMS, search * 104_729 % QUERIES
    at = np.datetime64("2011-01-01T00:00:00") + (search * 86_000 // max(1, rows // 10)).astype("timedelta64[s]")
    texts = {
        "event_id": _named("e", number),
        "at": np.char.add(np.datetime_as_string(at), "+00:00"),
        "kind": np.where(is_click, "click", "impression"),
        "request_id": _named("r", search),
        "user_key": _named("u", search % max(1, rows // 50)),
        "query": _named("what shoppers call thing ", query),
        "item_id": _named("i", item),
        "title": _named("The red thing of leather, number ", item),
        "description": _named("Made by hand, washable, with a warranty of two years. Its number is ", item),
        "position": np.where(is_click, 9, place + 1).astype(str),
    }
    columns = {name: pa.array(values) for name, values in texts.items()}
    columns |= dict.fromkeys(("grade", "value", *CARRIED, DAMAGE), pa.nulls(len(number), pa.string()))
    return pa.table({**columns, "source_file": pa.repeat("day", len(number)), "source_row": pa.array(number)})


def _named(prefix: str, numbers: np.ndarray) -> np.ndarray:
    return np.char.add(prefix, numbers.astype(str))


def _ours(file: Path, folder: Path) -> Callable[[], object]:
    import great_expectations  # noqa: F401 - imported before the clock runs

    from recflow.data.sources import Delivery
    from recflow.data.validate import validate_delivery
    from recflow.engine.duckdb_engine import open_duckdb

    def job() -> None:
        delivery = Delivery((file,), pq.read_metadata(file).num_rows, digest="")
        with open_duckdb(folder, memory_mb=MEMORY_MB) as engine:
            validate_delivery(engine, delivery, RECIPE, DAY, folder)

    return job


def _connected(file: Path, folder: Path) -> Any:
    import duckdb

    connection = duckdb.connect(folder / "hand.duckdb")
    connection.execute(
        f"set memory_limit = '{MEMORY_MB}MB'; set preserve_insertion_order = false; set timezone = 'UTC'"
    )
    return connection


def _by_hand(file: Path, folder: Path) -> Callable[[], object]:
    connection = _connected(file, folder)
    names = {"$file": file, "$rows": folder / "rows.parquet", "$quarantine": folder / "quarantine.parquet"}
    text = _BY_HAND
    for name, path in names.items():
        text = text.replace(name, f"'{path}'")
    return lambda: connection.execute(text)


def _scan_and_write(file: Path, folder: Path) -> Callable[[], object]:
    connection = _connected(file, folder)
    return lambda: connection.execute(
        f"copy (from read_parquet('{file}')) to '{folder / 'out.parquet'}' (format parquet)"
    )


JOBS = {"ours": _ours, "by_hand": _by_hand, "scan_and_write": _scan_and_write}


def _timed(name: str, file: Path) -> tuple[float, float, int]:
    """Seconds, seconds of processors, and the peak of memory in MiB of one job, the first of this process."""
    with TemporaryDirectory(dir=file.parent) as folder:
        job = JOBS[name](file, Path(folder))
        started, spent = time.monotonic(), time.process_time()
        job()
        wall_s, cpu_s = time.monotonic() - started, time.process_time() - spent
    return wall_s, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run_job(name: str, file: Path) -> tuple[float, float, int]:
    """What `_timed` found in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_timed, name, file).result()


def measure_rows(millions: float) -> Iterator[dict[str, Any]]:
    """The figures of one size."""
    with TemporaryDirectory(prefix="data-engine-") as folder:
        file = Path(folder) / "delivered.parquet"
        write_events(file, int(millions * 1_000_000))
        found = {name: run_job(name, file) for name in JOBS}
    (wall_s, cpu_s, memory), (hand_s, hand_cpu_s, _), (bare_s, bare_cpu_s, _) = (found[name] for name in JOBS)
    size = f"{millions:g} million events"
    beside = {"wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1)}
    for against, other_s, other_cpu_s, target in (
        ("the same job by hand in SQL", hand_s, hand_cpu_s, 1.5),
        ("scan and write alone", bare_s, bare_cpu_s, 7.0),
    ):
        name = "by_hand" if "hand" in against else "scan"
        yield {
            "name": f"data_engine_{millions:g}m_against_{name}",
            "value": round(wall_s / other_s, 2),
            "unit": "times as long",
            "against": f"{against}, {size}, {other_s:.1f} s",
            "target": target,
            "better": "lower",
            "cpu_ratio": round(cpu_s / other_cpu_s, 2),
            **beside,
        }
    yield {
        "name": f"data_engine_{millions:g}m_memory",
        "value": memory,
        "unit": "MiB",
        "against": size,
        "target": 1536,
        "better": "lower",
        **beside,
    }


def measure(quick: bool) -> list[dict[str, Any]]:
    """The figures at one and ten million events; a tenth of a million when quick."""
    return [result for millions in ((0.1,) if quick else (1, 10)) for result in measure_rows(millions)]


if __name__ == "__main__":
    from benchmarks.results import keep, render

    for figure in measure_rows(float(sys.argv[1])):
        keep(figure)
        print(figure)
    render()
