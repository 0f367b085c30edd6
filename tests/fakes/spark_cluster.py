"""A real Spark cluster on this host: a master and two executors, each a process of its own."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

from recflow.engine import OpenEngine

# Plans of a few rows are interpreted, for compiling them takes longer than they do.
FOR_FEW_ROWS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}


@contextmanager
def local_cluster(
    folder: Path, executor_mb: int = 1024, options: Mapping[str, str] = MappingProxyType({})
) -> Iterator[OpenEngine]:
    """How to open the engine on the cluster, which ends with the block; `options` are those of the session."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    import pyspark

    from recflow.engine.spark_engine import open_spark, spark_session

    session = spark_session(
        f"local-cluster[2,1,{executor_mb}]",
        options
        | {
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
