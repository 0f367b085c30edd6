"""Ten million events on Spark with two local executors, beside the embedded engine in the same run.

`python -m benchmarks.data_engine_on_spark [MILLIONS]` is no part of `make bench`. Both engines share the two cores of
the machine of record; a cluster pays where a day is too large for one.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import great_expectations  # noqa: F401 - imported before the clock runs
import pyarrow.parquet as pq

from benchmarks.data_engine import DAY, RECIPE, run_job, write_events
from benchmarks.results import keep, render
from recflow.data.sources import Delivery
from recflow.data.validate import validate_delivery

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from fakes.spark_cluster import local_cluster


def measure(millions: float) -> dict[str, Any]:
    """How many times as long Spark takes; the start of the cluster is not counted."""
    with TemporaryDirectory(prefix="data-engine-") as folder:
        file = Path(folder) / "delivered.parquet"
        write_events(file, int(millions * 1_000_000))
        embedded_s, _, _ = run_job("ours", file)
        kept, output = Path(folder) / "kept", Path(folder) / "out"
        kept.mkdir()
        output.mkdir()
        with local_cluster(Path(folder), executor_mb=2048) as open_spark, open_spark(kept) as engine:
            delivery = Delivery((file,), pq.read_metadata(file).num_rows, digest="")
            started = time.monotonic()
            validate_delivery(engine, delivery, RECIPE, DAY, output)
            spark_s = time.monotonic() - started
    return {
        "name": f"data_engine_{millions:g}m_on_spark",
        "value": round(spark_s / embedded_s, 2),
        "unit": "times as long",
        "against": f"the embedded engine, {millions:g} million events, {embedded_s:.1f} s",
        "target": None,
        "better": "lower",
        "spark_s": round(spark_s, 1),
    }


if __name__ == "__main__":
    figure = measure(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
    keep(figure)
    print(figure)
    render()
