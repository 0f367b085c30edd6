"""The items of a stored data set, as arrays in one order: an item's place in it is its code."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recflow.errors import BadData

ITEMS = "items.parquet"
_COLUMNS = ("item_id", "text", "available", "interactions")


@dataclass(frozen=True)
class Catalogue:
    """Items in the order of their ids. `interactions` counts acts of training users only."""

    ids: pa.Array
    texts: tuple[str, ...]
    available: np.ndarray
    interactions: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def read_catalogue(dataset: Path) -> Catalogue:
    """Every item of a stored data set; BadData when there is none, or the file is another."""
    try:
        table = pq.read_table(dataset / ITEMS, columns=list(_COLUMNS)).sort_by("item_id")
    except (OSError, ValueError) as error:
        raise BadData(f"no {ITEMS} in the data set", expected=", ".join(_COLUMNS), seen=str(error)) from error
    if not len(table):
        raise BadData("the catalogue is empty", expected="at least one item to recommend", seen="none")
    return Catalogue(
        table["item_id"].cast(pa.string()).combine_chunks(),
        tuple(text or "" for text in table["text"].to_pylist()),
        table["available"].to_numpy().astype(bool),
        table["interactions"].to_numpy().astype(np.int64),
    )
