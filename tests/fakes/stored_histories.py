"""Stored data sets of the task `recommend`, made from lists of items."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

BEGIN = datetime(2026, 3, 2, 8)  # noqa: DTZ001 - stored splits have no zone
SCHEMA = pa.schema([
    ("user_key", pa.string()), ("item_id", pa.string()), ("at", pa.timestamp("us")), ("day", pa.string()),
    ("weight", pa.float32()), ("country", pa.string()), ("label", pa.int32()),
])  # fmt: skip
Act = tuple[str, str, datetime, str, int]
"""User, item, time, country, label."""


def acts(user: str, items: Sequence[str], *, history: int = 0, country: str = "", every_hours: float = 1) -> list[Act]:
    """One user's acts; the first `history` of them are not to be predicted."""
    return [
        (user, item, BEGIN + timedelta(hours=every_hours * place), country, int(place >= history))
        for place, item in enumerate(items)
    ]


def write_dataset(
    folder: Path,
    splits: Mapping[str, Iterable[Act]],
    *,
    texts: Mapping[str, str] | None = None,
    gone: Sequence[str] = (),
) -> Path:
    """A data set of these acts. Its catalogue has their items and those of `texts`; `gone` are not available."""
    for split in ("train", "validation", "test"):
        rows = [
            {"user_key": user, "item_id": item, "at": at, "day": str(at.date()), "weight": 1.0, "country": country,
             "label": label}
            for user, item, at, country, label in splits.get(split, ())
        ]  # fmt: skip
        datasets.Dataset(pa.Table.from_pylist(rows, SCHEMA)).save_to_disk(str(folder / split))
    counted = [act[1] for act in splits.get("train", ())]
    names = sorted({act[1] for rows in splits.values() for act in rows} | set(texts or ()))
    catalogue = {
        "item_id": names,
        "text": [(texts or {}).get(name, "") for name in names],
        "first_day": [str(BEGIN.date())] * len(names),
        "available": [name not in gone for name in names],
        "interactions": pa.array(map(counted.count, names), pa.int64()),
    }
    pq.write_table(pa.table(catalogue), folder / "items.parquet")
    return folder
