"""Both engines: DuckDB in this process, and Spark as one local cluster of two executors for the whole session."""

import os
import shutil

import pytest

from fakes.engines import duckdb_engine
from fakes.spark_cluster import FOR_FEW_ROWS, local_cluster


@pytest.fixture(scope="session")
def spark_engine(tmp_path_factory):
    """A real cluster: a master, two workers and two executors, each a process of its own."""
    if shutil.which("java") is None:
        message = "there is no Java, which Spark runs on: apt-get install openjdk-17-jre-headless"
        if os.environ.get("RECFLOW_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with local_cluster(tmp_path_factory.mktemp("spark"), options=FOR_FEW_ROWS) as open_spark:
        yield open_spark


@pytest.fixture(params=["duckdb", "spark"])
def engine(request):
    """How to open each engine."""
    return duckdb_engine if request.param == "duckdb" else request.getfixturevalue("spark_engine")
