"""Files of users' item sequences, as stored data sets of the task `recommend` that leave one item out.

A line is a user and then items, the oldest first. There are no times: order is told by microseconds, which count as
unknown. Of each user the last item is the test, the one before it the validation, the others train. The test's history
is all before the last item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recflow.errors import BadConfiguration, BadData

_LEAST = 3
_SCHEMA = pa.schema([
    ("user_key", pa.string()), ("item_id", pa.string()), ("at", pa.timestamp("us")), ("day", pa.string()),
    ("weight", pa.float32()), ("country", pa.string()), ("label", pa.int32()),
])  # fmt: skip


@dataclass(frozen=True)
class Sequences:
    """Users' items, the oldest first; users with fewer than three items are not among them."""

    users: tuple[str, ...]
    items: tuple[tuple[str, ...], ...]

    @property
    def repeat(self) -> bool:
        """Whether any user turns to an item again, as far as the acts before the test's tell."""
        return any(len({*items[:-1]}) < len(items) - 1 for items in self.items)


def read_sequences(path: Path) -> Sequences:
    """The users of a file; BadConfiguration without the file, BadData without users to learn from."""
    if not path.is_file():
        raise BadConfiguration(
            "recommendations are measured on real sequences", expected=f"the file {path}", seen="none",
            action="set RECFLOW_DATA to the folder that holds s3rec-amazon-beauty",
        )  # fmt: skip
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [(user, tuple(items)) for user, *items in filter(None, lines) if len(items) >= _LEAST]
    if not kept:
        raise BadData(
            f"{path.name} has no user to leave an item out of", expected="lines: user item item item …", seen="none"
        )
    return Sequences(tuple(user for user, _ in kept), tuple(items for _, items in kept))


def write_dataset(sequences: Sequences, folder: Path) -> None:
    """Write the three splits and the catalogue."""
    datasets.disable_progress_bars()
    parts = {"train": (-2, 0), "validation": (-1, -1), "test": (None, -1)}
    for split, (end, labelled) in parts.items():
        taken = [items[:end] for items in sequences.items]
        datasets.Dataset(_rows(sequences.users, taken, labelled)).save_to_disk(str(folder / split))
    names, counts = np.unique([item for items in sequences.items for item in items[:-2]], return_counts=True)
    counted = dict(zip(names.tolist(), counts.tolist(), strict=True))
    every = sorted({item for items in sequences.items for item in items})
    told = {"text": [""] * len(every), "first_day": [""] * len(every), "available": [True] * len(every)}
    interactions = pa.array([counted.get(item, 0) for item in every], pa.int64())
    pq.write_table(pa.table({"item_id": every, **told, "interactions": interactions}), folder / "items.parquet")


def _rows(users: Sequence[str], taken: Sequence[Sequence[str]], labelled: int) -> pa.Table:
    """One row an act; of each user those from `labelled` on are to be predicted."""
    lengths = np.array([len(items) for items in taken])
    acts = int(lengths.sum())
    place = np.arange(acts) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = lengths + labelled if labelled else np.zeros_like(lengths)
    columns = {
        "user_key": np.repeat(np.array(users), lengths),
        "item_id": [item for items in taken for item in items],
        "at": place.astype("datetime64[us]"),
        "day": ["1970-01-01"] * acts,
        "weight": np.ones(acts, np.float32),
        "country": [""] * acts,
        "label": (place >= np.repeat(first, lengths)).astype(np.int32),
    }
    return pa.table(
        {name: pa.array(columns[name], kind) for name, kind in zip(_SCHEMA.names, _SCHEMA.types, strict=True)}
    )
