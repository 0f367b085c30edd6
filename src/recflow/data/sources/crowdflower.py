"""Judged query-product pairs in the columns of the CrowdFlower search relevance set, as CSV files in one folder."""

import csv
import hashlib
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa

from recflow.artifacts.digests import digest_bytes, digest_json
from recflow.artifacts.manifests import Interval
from recflow.data.rows import DELIVERED
from recflow.data.sources import Source
from recflow.domain.text import normalise
from recflow.errors import BadData

_COLUMNS = {"id": "event_id", "query": "query", "product_title": "title", "product_description": "description"}
_GRADE = "median_relevance"

Record = dict[str, str]


class CrowdFlower(Source):
    """Rows have no date: each gets one of `days` days, from `first_day`, by a hash of its id.

    `median_relevance` 1 … 4 becomes grade 0 … 3. There is no product id either: products with one title are one item.
    """

    def __init__(self, folder: Path, days: int, first_day: date) -> None:
        self._folder = folder
        self._days, self._first = days, first_day

    @property
    def note(self) -> str:
        """Where the days come from."""
        return f"rows have no date: each was given one of {self._days} days from {self._first} by a hash of its id"

    def fingerprint(self, interval: Interval) -> str:
        """The digest of the interval's records, and of whatever cannot be read as records."""
        try:
            return digest_json([sorted(record.items()) for record in self._of(interval)])
        except BadData:
            return digest_json([digest_bytes(path.read_bytes()) for path in csv_files(self._folder)])

    def rows(self, interval: Interval) -> pa.Table:
        """The interval's judgements; BadData for a file that is not UTF-8 CSV with an id column."""
        records = list(self._of(interval))
        header = {name for record in records for name in record}
        columns = {ours: [record.get(name) for record in records] for name, ours in _COLUMNS.items() if name in header}
        if _GRADE in header:
            columns["grade"] = [_grade(record.get(_GRADE)) for record in records]
        if "title" in columns:
            columns["item_id"] = [title_item_id(title or "") for title in columns["title"]]
        same = {"at": interval.start.isoformat(), "kind": "judgement"}
        for name, value in {**same, "request_id": None, "user_key": None, "position": None, "value": None}.items():
            columns[name] = [value] * len(records)
        return pa.table(columns, schema=pa.schema([field for field in DELIVERED if field.name in columns]))

    def _of(self, interval: Interval) -> Iterator[Record]:
        index = (date.fromisoformat(interval.label) - self._first).days
        for path in csv_files(self._folder):
            for record in read_csv(path):
                if day_index(record["id"], self._days) == index:
                    yield record


def csv_files(folder: Path) -> list[Path]:
    """The CSV files of a folder, or of its sub-folder `ValidationFolds`."""
    return sorted(folder.glob("*.csv")) or sorted((folder / "ValidationFolds").glob("*.csv"))


def read_csv(path: Path) -> Iterator[Record]:
    """The records of one file, values as they stand in it; BadData unless it is UTF-8 CSV with an id column."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(
            f"{path.name} is not UTF-8",
            expected="UTF-8 text",
            seen=f"byte {error.object[error.start]:#04x} at {error.start}",
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="surplus", restval="")
    if "id" not in (reader.fieldnames or ()):
        raise BadData(f"{path.name} lacks a column", expected="id", seen=", ".join(reader.fieldnames or ["nothing"]))
    try:
        for record in reader:
            record.pop("surplus", None)
            yield record
    except csv.Error as error:
        raise BadData(f"{path.name} is broken", expected="CSV", seen=f"line {reader.line_num}: {error}") from error


def day_index(row_id: str, days: int) -> int:
    """The day, 0 … days - 1, that a row without a date belongs to: for ever the same."""
    return int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:8], "big") % days


def title_item_id(title: str) -> str:
    """The id of an item that is known by its title only."""
    return "t-" + digest_bytes(normalise(title).casefold().encode())[:12]


def _grade(relevance: str | None) -> str | None:
    try:
        return str(float(relevance or "") - 1)
    except ValueError:
        return relevance
