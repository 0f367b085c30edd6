"""A look at an experiment: from an event log of ten million exposures to evidence, with covariates.

The shape: 17 days, of which the last three are the experiment; sessions of four searches in a quarter of an hour; 25
searches a user, about a tenth of them inside a window of half an hour; an act on every second search (80 % clicks, 15 %
carts, 5 % purchases). Facts are written in bulk, in files of thirty thousand, as compactions write them; the
records have the columns by which the heaviest users are named. The experiment's first look also adds up the days
before it; the figure is the next look's. Each look is a process of its own. A hundred million: `python -m benchmarks
experiment_looks_huge`.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from recflow.clients.event_files import FACTS, RECORDS, day_folder, kind_folder
from recflow.clients.event_records import EXPOSURE, OUTCOME

RECIPE, EXPERIMENT = "shop_search", "release-1-v2:judging"
FIRST = datetime(2011, 1, 1, tzinfo=UTC)
DAYS, BEFORE, A_USER, A_FILE = 17, 14, 25, 30_000
START, NOW = FIRST + timedelta(days=BEFORE), FIRST + timedelta(days=DAYS)
SIZE, SECONDS = 10_000_000, 2.0
MEMORY_MB = 2048

_SEARCHES = """
create or replace temp table searches as
select i, 'u' || (hash(i // 4, {day}) % {users}) as user_key, hash(i // 4, {day}) % {users} as number,
  {start_us} + (hash(i // 4) % 85200000000)::bigint + (i % 4) * 300000000 + i % 1000 as shown_us,
  hash(i, 1) as chance
from range({low}, {high}) rows(i)"""
_COLUMNS = """
md5_number_lower(user_key) as user_hash, case when {day} >= {before} then '{experiment}' else '' end as experiment,
case when {day} < {before} then 'stable' when number % 2 = 1 then 'treatment' else 'control' end as arm,
'' as fallback, 10::integer as items, md5_number_lower('q' || chance % 10000) as query_hash"""
_SHOWN = "select shown_us, (10 + chance % 1000 / 10)::float as latency_ms, {columns} from searches order by user_hash"
_ACTED = """
select hash(i, {day}, 2) as act_hash, hash(i, {day}, 3) as id_hash, hash(i, {day}, 4) as target_hash, shown_us,
  shown_us + 30000000 as acted_us,
  case when chance % 20 = 0 then 'purchase' when chance % 20 < 4 then 'cart' else 'click' end as kind,
  (chance % 20 = 0)::double * 20 as value, '' as reason, {columns}, 1::integer as nth, 1::integer as id_nth
from searches where i % 2 = 0 order by user_hash"""
_RECORDS = """
select 'r' || {day} || '-' || i as request_id, user_key, '{recipe}' as recipe,
  make_timestamp(shown_us) at time zone 'UTC' as "at"
from searches order by shown_us"""

_LOOK = f"""
import json, resource, sys, time
from datetime import timedelta
from pathlib import Path
from benchmarks.experiment_looks import EXPERIMENT, NOW, RECIPE, START
from recflow.clients.clock import SystemClock
from recflow.clients.event_log import DuckEventLog
from recflow.experiments.evidence import Design
from recflow.experiments.readers import read_evidence
log = DuckEventLog(Path(sys.argv[1]), SystemClock())
design = Design(RECIPE, EXPERIMENT, START, timedelta(minutes=30), look_back=timedelta(days={BEFORE}))
begin, used = time.perf_counter(), time.process_time()
found = read_evidence(log, design, NOW)
seconds, cpu = time.perf_counter() - begin, time.process_time() - used
mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps(dict(seconds=seconds, cpu=cpu, mb=mb, users=found.users, inside=int(found.totals["searches"].sum()))))
"""
# The way of before: every record once, by its id.
_DISTINCT = """
import sys, time, duckdb
begin = time.perf_counter()
with duckdb.connect() as connection:
    connection.execute("set enable_progress_bar = false")
    records = f"read_parquet('{sys.argv[1]}/**/*.parquet')"
    connection.sql(f"select distinct on (request_id) * from {records} order by request_id").to_arrow_table()
print(time.perf_counter() - begin)
"""


def measure(quick: bool) -> list[dict[str, Any]]:
    """Seconds and MiB of a look; beside a tenth of it, what deduplicating alone took."""
    size = SIZE // 100 if quick else SIZE
    return [*measure_look(size, SECONDS), _against_distinct(size // 10)]


def measure_look(exposures: int, limit_s: float) -> list[dict[str, Any]]:
    """Seconds and MiB of a look at this many exposures."""
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder), exposures)
        first, look = (json.loads(_run(_LOOK, folder)) for _ in range(2))
    size = f"{exposures / 1e6:g} million exposures"
    shape = {"users": look["users"], "searches_inside_windows": look["inside"], "cpu_s": round(look["cpu"], 2)}
    shape |= {"first_look_s": round(first["seconds"], 2), "first_look_mb": first["mb"]}
    common = {"against": f"{size}, with covariates", "better": "lower", **shape}
    name = f"experiment_look_{exposures // 1000}k"
    seconds = {"name": name, "value": round(look["seconds"], 2), "unit": "s", "target": limit_s, **common}
    return [seconds, {"name": f"{name}_memory", "value": look["mb"], "unit": "MiB", "target": MEMORY_MB, **common}]


def _against_distinct(exposures: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder), exposures)
        _run(_LOOK, folder)
        look, distinct = json.loads(_run(_LOOK, folder))["seconds"], float(_run(_DISTINCT, f"{folder}/{RECORDS}"))
    return {
        "name": "experiment_look_against_distinct",
        "value": round(look / distinct, 2),
        "unit": "times as long",
        "target": None,
        "better": "lower",
        "against": f"distinct on over {exposures / 1e6:g} million narrow records, which looks did first before",
        "look_s": round(look, 2),
        "distinct_s": round(distinct, 2),
    }


def _run(code: str, folder: str) -> str:
    return subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True, text=True).stdout


def write_log(folder: Path, exposures: int) -> None:
    """The facts of this many exposures, and what the heaviest users are looked up in, whole on the disk."""
    with duckdb.connect(config={"temp_directory": str(folder / "spill")}) as connection:
        connection.execute("set enable_progress_bar = false")
        for day in range(DAYS):
            for low in range(0, exposures // DAYS, A_FILE):
                high = min(exposures // DAYS, low + A_FILE)
                _write_file(connection, folder, day, low, high, users=exposures // A_USER)
    os.sync()


def _write_file(
    connection: duckdb.DuckDBPyConnection, folder: Path, day: int, low: int, high: int, *, users: int
) -> None:
    moment = FIRST + timedelta(days=day)
    midnight = int(moment.timestamp()) * 1_000_000
    connection.execute(_SEARCHES.format(day=day, users=users, start_us=midnight, low=low, high=high))
    columns = _COLUMNS.format(day=day, before=BEFORE, experiment=EXPERIMENT)
    for tree, kind, sql in (
        (FACTS, EXPOSURE, _SHOWN),
        (FACTS, OUTCOME, _ACTED),
        (RECORDS, EXPOSURE, _RECORDS),
    ):
        path = kind_folder(folder / tree, RECIPE, kind.name) / day_folder(moment) / f"w-{low}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = sql.format(columns=columns, day=day, recipe=RECIPE)
        connection.execute(f"copy ({rows}) to '{path}' (format parquet, compression zstd)")
