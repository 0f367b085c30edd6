"""Records on their way: batches of text columns, each record with its place in its source."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

RECORDS_A_BATCH = 20_000
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Batch:
    """Some records of one file or table: the columns that it has, as text; `rows` says which line or record each is.

    `damage` says of a record that could not be told apart into columns why; its columns are null.
    """

    columns: Mapping[str, pa.Array]
    rows: pa.Array
    damage: pa.Array

    @property
    def records(self) -> int:
        """How many records."""
        return len(self.rows)

    def column(self, name: str) -> pa.Array:
        """A column; nulls where the source has none of this name."""
        return self.columns[name] if name in self.columns else pa.nulls(self.records, pa.string())

    def only(self, mask: pa.Array) -> "Batch":
        """The records of a mask, and all damaged ones: nobody knows what they are."""
        kept = pc.or_(pc.fill_null(mask, fill_value=False), pc.is_valid(self.damage))
        columns = {name: values.filter(kept) for name, values in self.columns.items()}
        return Batch(columns, self.rows.filter(kept), self.damage.filter(kept))


def whole_batch(columns: Mapping[str, pa.Array], first_row: int, records: int) -> Batch:
    """A batch without damage whose records follow each other."""
    rows = pa.array(range(first_row, first_row + records), pa.int64())
    return Batch(columns, rows, pa.nulls(records, pa.string()))


def texts(values: Sequence[str | None]) -> pa.Array:
    """Text for Arrow; half a character (a lone surrogate) becomes U+FFFD, which the checks see."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        mended = [None if text is None else _HALF.sub("\N{REPLACEMENT CHARACTER}", text) for text in values]
        return pa.array(mended, pa.string())


def in_batches(records: Iterable[Any]) -> Iterator[list[Any]]:
    """Lists of RECORDS_A_BATCH, the last one shorter."""
    stream = iter(records)
    while batch := list(islice(stream, RECORDS_A_BATCH)):
        yield batch


class RowsDigest:
    """A digest of rows in whatever order they come: the sum of their SHA-256, and their number."""

    def __init__(self) -> None:
        self._sum = self._rows = 0

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Count the rows of some columns."""
        for row in zip(*(column.to_pylist() for column in columns), strict=True):
            self._sum += int.from_bytes(hashlib.sha256(repr(row).encode()).digest(), "big")
            self._rows += 1

    @property
    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(f"{self._rows}:{self._sum % 2**256:x}".encode()).hexdigest()
