"""A real Spark cluster on this host: a master and two executors, each a process of its own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from recflow.engine import OpenEngine


@contextmanager
def local_cluster(folder: Path, executor_mb: int = 1024) -> Iterator[OpenEngine]:
    """How to open the engine on the cluster, which ends with the block."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    import pyspark

    from recflow.engine.spark_engine import open_spark, spark_session

    session = spark_session(
        f"local-cluster[2,1,{executor_mb}]",
        {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.executor.memory": f"{executor_mb}m",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.sql.shuffle.partitions": "4",
            "spark.log.level": "ERROR",
            "spark.ui.showConsoleProgress": "false",
        },
    )
    logs = Path(pyspark.__file__).parent / "work" / session.sparkContext.applicationId
    try:
        yield partial(open_spark, session=session)
    finally:
        gateway = session.sparkContext._gateway
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=60)
        shutil.rmtree(logs, ignore_errors=True)
