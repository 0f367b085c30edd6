"""Small deliveries of events, as sources give them and as shops write them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.data.rows import DELIVERED, PARTITION
from recflow.data.sources import open_source
from recflow.protocols import EventLog

CSV_HEADER = "id,query,product_title,product_description,median_relevance,relevance_variance"


def day(number: int = 0) -> Interval:
    """The interval of a day of 2011; 0 is the first."""
    start = datetime(2011, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Interval(label=start.date().isoformat(), start=start, end=start + timedelta(days=1))


def recipe(adapter: str = "shop", path: str = "", *, data: Mapping[str, Any] | None = None, **sections: Any) -> Recipe:
    """A recipe that takes small days."""
    source = {"adapter": adapter, "path": path, "days": 1}
    return Recipe.model_validate(
        {"name": "search", "owner": "tests", "data": {"source": source, "min_rows": 1, **(data or {})}, **sections}
    )


class Read:
    """A source whose day is read into memory, as small days may be."""

    def __init__(self, settings: Recipe, place: Path | str, events: EventLog | None = None) -> None:
        self.source = open_source(settings, place if isinstance(place, str) else place.as_uri(), events)
        self.note, self.fingerprint = self.source.note, self.source.fingerprint

    def rows(self, interval: Interval) -> pa.Table:
        with TemporaryDirectory() as scratch:
            delivery = self.source.deliver(interval, Path(scratch))
            assert delivery.digest == self.source.fingerprint(interval).digest
            table = pa.concat_tables([pq.read_table(path) for path in delivery.files])
        assert table.num_rows == delivery.records
        return table.sort_by([("source_file", "ascending"), ("source_row", "ascending")])


def judgement(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One judged pair as delivered."""
    row = {"event_id": f"e{number}", "at": day().start.isoformat(), "kind": "judgement", "query": "red shoe"}
    return {
        **row,
        "item_id": f"i{number}",
        "title": f"shoe {number}",
        "description": "leather",
        "grade": "2",
        **changes,
    }


def impression(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One shown item as delivered."""
    row = judgement(number, kind="impression", grade=None, request_id="r1", user_key="u1", position=str(number))
    return {**row, **changes}


def delivered(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=DELIVERED)


def partition_file(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as a validated partition holds them; `at` is a time here."""
    defaults = {"position": 0, "value": 0.0, "request_id": None, "user_key": None}
    typed = [
        {
            **defaults,
            **row,
            "at": datetime.fromisoformat(row["at"]),
            "position": int(row.get("position") or 0),
            "grade": None if row.get("grade") is None else float(row["grade"]),
        }
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(typed, schema=PARTITION), path)
    return path


def write_csv(folder: Path, rows: Sequence[str], header: str = CSV_HEADER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1-test.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def write_shop_day(folder: Path, events: Sequence[Mapping[str, Any]], items: Sequence[str] = ("i1", "i2")) -> Path:
    """A shop's folder with the first day's events and a catalogue."""
    files = {
        "events": events,
        "catalogue": [{"item_id": item, "title": f"shoe {item}", "description": "leather"} for item in items],
    }
    for name, rows in files.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name / f"{day().label}.jsonl").write_text(lines, encoding="utf-8")
    return folder
