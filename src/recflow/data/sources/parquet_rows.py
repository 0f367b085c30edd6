"""Parquet files, in batches, every column as text: no id loses a digit or a zero, no time its zone."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recflow.data.sources.batches import RECORDS_A_BATCH, Batch, texts, whole_batch
from recflow.errors import BadData

_EXACT = 2**53  # whole numbers beyond it have lost digits in a float column


def read_parquet(path: Path, name: str, wanted: Sequence[str], *, take: Callable[[int], None]) -> Iterator[Batch]:
    """Batches with those of the `wanted` columns that the file has, the first one without records.

    `take` is told of each batch's bytes. Raises BadData for a file that is cut, for columns that are there twice or
    nested, and when fewer records come than the file says it has.
    """
    records = 0
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            columns = _columns(file.schema_arrow, wanted, name)
            yield whole_batch({column: texts([]) for column in columns}, 1, 0)
            for some in file.iter_batches(RECORDS_A_BATCH, columns=columns, use_threads=False):
                take(some.nbytes)
                yield whole_batch({c: _as_text(some.column(c), c, name) for c in columns}, records + 1, some.num_rows)
                records += some.num_rows
            expected = file.metadata.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise BadData(f"{name} is cut or broken", expected="Parquet", seen=str(error)[:200]) from error
    if records != expected:
        raise BadData(f"{name} is cut or broken", expected=f"{expected} records", seen=f"{records}")


def _columns(schema: pa.Schema, wanted: Sequence[str], name: str) -> list[str]:
    if twice := [column for column in wanted if schema.names.count(column) > 1]:
        raise BadData(f"{name} has the column {twice[0]} twice", expected="each once", seen=", ".join(schema.names))
    there = [column for column in wanted if column in schema.names]
    if nested := [column for column in there if pa.types.is_nested(schema.field(column).type)]:
        seen = f"{nested[0]}: {schema.field(nested[0]).type}"
        raise BadData(f"{name} has a nested column", expected="one value a row", seen=seen)
    return there


def _as_text(values: pa.Array, column: str, name: str) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _as_text(values.dictionary_decode(), column, name)
    if pa.types.is_floating(kind):
        return _float_text(values, column, name)
    if pa.types.is_timestamp(kind):
        form = "%Y-%m-%dT%H:%M:%S" if kind.tz is None else "%Y-%m-%dT%H:%M:%S+00:00"
        return pc.strftime(values if kind.tz is None else values.cast(pa.timestamp(kind.unit, "UTC")), form)
    return values.cast(pa.string())


def _float_text(values: pa.Array, column: str, name: str) -> pa.Array:
    """NaN is how such columns say nothing; whole numbers are written as such, because ids with gaps become floats."""
    doubles = pc.if_else(pc.is_finite(values), values, None).cast(pa.float64())
    whole = pc.all(pc.equal(pc.floor(doubles), doubles)).as_py()
    if not whole:
        return doubles.cast(pa.string())
    if (pc.max(pc.abs(doubles)).as_py() or 0) > _EXACT:
        seen = f"{column} as {values.type}"
        raise BadData(f"{name} has whole numbers that lost digits", expected="integers or text", seen=seen)
    return doubles.cast(pa.int64()).cast(pa.string())
