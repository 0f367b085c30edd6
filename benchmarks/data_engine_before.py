"""A day of 1.2 million events by the code from before the data engine, and by today's, in one run.

`python -m benchmarks.data_engine_before` makes a worktree of the last commit before the engine, and is no part of
`make bench`: the code before takes minutes and gigabytes. What is imported is not counted on either side.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from benchmarks.data_engine import DAY, RECIPE, run_job, write_events
from benchmarks.results import keep, render

REPOSITORY = Path(__file__).resolve().parent.parent
BEFORE = "0ebce26"
EVENTS = 1_200_000
_JOB = """
import resource, sys, time
from pathlib import Path
import great_expectations, pyarrow.parquet as pq
from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.data import validate
from recflow.data.clean import clean
from recflow.data.rows import COLUMNS

file, output = Path(sys.argv[1]), Path(sys.argv[2])

class Context:
    recipe = Recipe.model_validate_json(sys.argv[3])
    interval = Interval.model_validate_json(sys.argv[4])
    output = output

started = time.monotonic()
table = pq.read_table(file, columns=list(COLUMNS))
cleaned = clean(table, Context.interval.label, max_duplicate_share=0.2)
results = validate._judge(Context, cleaned)
reasons = validate._reasons(results, len(cleaned.rows))
validate._write(output, cleaned, reasons)
wall_s = time.monotonic() - started
print(f"{wall_s} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}")
"""


def _before(file: Path, folder: Path) -> tuple[float, int]:
    """Seconds and MiB of the code before: cleaning, checks, quarantine and writing, as its stage called them."""
    tree = folder / "before"
    git = ("git", "-C", str(REPOSITORY), "worktree")
    subprocess.run([*git, "add", "--detach", str(tree), BEFORE], check=True, capture_output=True)
    try:
        output = folder / "out"
        output.mkdir()
        recipe = json.dumps({"name": RECIPE.name, "owner": RECIPE.owner})
        command = [sys.executable, "-c", _JOB, str(file), str(output), recipe, DAY.model_dump_json()]
        paths = {"PYTHONPATH": str(tree / "src")}
        done = subprocess.run(command, env=os.environ | paths, check=True, stdout=subprocess.PIPE, text=True)
        assert pq.read_metadata(output / "rows.parquet").num_rows > 0.9 * EVENTS
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    seconds, memory = done.stdout.split()
    return float(seconds), int(memory)


def measure() -> dict[str, Any]:
    """How many times faster today's code is."""
    with TemporaryDirectory(prefix="data-engine-") as folder:
        file = Path(folder) / "delivered.parquet"
        write_events(file, EVENTS)
        before_s, before_mb = _before(file, Path(folder))
        wall_s, _, memory = run_job("ours", file)
    return {
        "name": "data_engine_against_before",
        "value": round(before_s / wall_s, 1),
        "unit": "times faster",
        "against": f"the code before ({BEFORE}), {EVENTS / 1e6:g} million events, {before_s:.1f} s, {before_mb} MiB",
        "target": 10.0,
        "better": "higher",
        "wall_s": round(wall_s, 1),
        "memory_mb": memory,
    }


if __name__ == "__main__":
    figure = measure()
    keep(figure)
    print(figure)
    render()
