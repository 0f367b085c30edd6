"""Spark: the engine of many machines."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.pyspark import Backend
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import recflow
from recflow.engine import CannotCompute, Table, parquet_files

# Executors import recflow for the rules of texts; times are in UTC and as precise as they are here; a file that is
# refused is told by an error instead of a null; no marks beside the files that are written.
_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.ui.enabled": "false",
    "spark.executorEnv.PYTHONPATH": str(Path(recflow.__file__).parent.parent),
}


class SparkEngine:
    """Computes on a cluster; `folder` must be seen by every executor."""

    def __init__(self, backend: Backend, session: SparkSession, folder: Path) -> None:
        self._backend, self._session, self._folder = backend, session, folder
        self._names = count(1)

    def read(self, files: Sequence[Path]) -> Table:
        """The rows of Parquet files or folders of them, columns joined by name."""
        return self._table([file.as_uri() for path in files for file in parquet_files(path)], "*")

    def read_each(self, files: Mapping[str, Path], name: str) -> Table:
        """The rows of several folders or files, with the key of each in the column `name`."""
        # Spark names a file with one slash where others write three.
        keys = {file.as_uri().replace("///", "/"): key for key, path in files.items() for file in parquet_files(path)}
        rows = self._table([*keys], "*", "_metadata.file_path AS read_from")
        named = self.load(pa.table({"read_from": [*keys], name: [*keys.values()]}))
        return rows.inner_join(named, "read_from").drop("read_from")

    def _table(self, uris: Sequence[str], *columns: str) -> Table:
        view = f"read_{uuid4().hex}"
        rows = self._session.read.option("mergeSchema", "true").parquet(*uris)
        rows.selectExpr(*columns).createOrReplaceTempView(view)
        return self._backend.table(view)

    def load(self, rows: pa.Table) -> Table:
        """The rows of a table, by way of a file."""
        path = self._folder / f"loaded_{next(self._names)}.parquet"
        pq.write_table(rows, path)
        return self.read([path])

    def keep(self, table: Table) -> Table:
        """The same rows, computed now, as files in the folder."""
        path = self._folder / f"kept_{next(self._names)}"
        self.write(table, path)
        return self.read([path])

    def write(self, table: Table, path: Path) -> None:
        """Write the rows to a folder of Parquet files."""
        with _telling():
            self._backend.to_parquet(table, path.as_uri(), mode="overwrite")
        for checksum in path.glob(".*.crc"):
            checksum.unlink()

    def count(self, table: Table) -> int:
        """The number of rows."""
        return int(self.fetch(table.aggregate(rows=table.count()))["rows"][0].as_py())

    def fetch(self, table: Table) -> pa.Table:
        """The rows in memory, by way of files: ibis takes whole numbers through floats, Spark leaves sockets open."""
        path = self._folder / f"fetched_{next(self._names)}"
        self.write(table, path)
        rows = pq.read_table(path)
        # Each time of Spark says that it is in UTC.
        return rows.cast(pa.schema([(field.name, _naive(field.type)) for field in rows.schema]))


def _naive(type_: pa.DataType) -> pa.DataType:
    return pa.timestamp("us") if pa.types.is_timestamp(type_) else type_


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise CannotCompute(str(error)) from error


def spark_session(master: str, options: Mapping[str, str] = MappingProxyType({})) -> SparkSession:
    """The session of this process with a cluster; started when there is none."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName("recflow")
    for name, value in {**_SESSION, **options}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@contextmanager
def open_spark(folder: Path, *, session: SparkSession) -> Iterator[SparkEngine]:
    """An engine on the cluster of `session` that keeps its tables in `folder`."""
    yield SparkEngine(ibis.pyspark.connect(session), session, folder)
