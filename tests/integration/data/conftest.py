"""Both engines: DuckDB in this process, and Spark as one local cluster of two executors for the whole session."""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from fakes.engines import duckdb_engine


@pytest.fixture(scope="session")
def spark_engine(tmp_path_factory):
    """A real cluster: a master, two workers and two executors, each a process of its own."""
    if shutil.which("java") is None:
        message = "there is no Java, which Spark runs on: apt-get install openjdk-17-jre-headless"
        if os.environ.get("RECFLOW_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    import pyspark

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from recflow.engine.spark_engine import open_spark, spark_session

    folder = tmp_path_factory.mktemp("spark")
    session = spark_session(
        "local-cluster[2,1,1024]",
        {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.sql.shuffle.partitions": "4",
            "spark.log.level": "ERROR",
            "spark.ui.showConsoleProgress": "false",
        },
    )
    logs = Path(pyspark.__file__).parent / "work" / session.sparkContext.applicationId
    yield partial(open_spark, session=session)
    gateway = session.sparkContext._gateway
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=60)
    shutil.rmtree(logs, ignore_errors=True)


@pytest.fixture(params=["duckdb", "spark"])
def engine(request):
    """How to open each engine."""
    return duckdb_engine if request.param == "duckdb" else request.getfixturevalue("spark_engine")
