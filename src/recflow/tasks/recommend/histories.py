"""Users' histories as flat arrays, from a stored split; no loop over acts in Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recflow.errors import BadData
from recflow.tasks.recommend.catalogue import Catalogue

_ORDER = ("user_key", "at", "item_id")


@dataclass(frozen=True)
class Histories:
    """Acts of many users: one user's after another's, each user's oldest first.

    User u has the acts `offsets[u]` … `offsets[u + 1]`. One value an act: `items`, the codes in the catalogue;
    `seconds` since 1970, 0 for unknown; `countries`, codes from 1 on, 0 for unknown; `weights`, how much it teaches;
    `targets`, whether it is to be predicted. Acts on items outside the catalogue are left out.
    """

    offsets: np.ndarray
    items: np.ndarray
    seconds: np.ndarray
    countries: np.ndarray
    weights: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Acts a user."""
        return np.diff(self.offsets)

    @property
    def users(self) -> np.ndarray:
        """The user of each act."""
        return np.repeat(np.arange(len(self)), self.lengths)


def read_histories(dataset: Path, split: str, catalogue: Catalogue, countries: tuple[str, ...]) -> Histories:
    """The acts of one split of a stored data set; `countries` are those with a code of their own.

    Acts of one user at one time stand in the order of their items' ids.
    """
    rows = read_rows(dataset, split)
    rows = rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in _ORDER]))
    codes = _codes(rows["item_id"], catalogue.ids)
    rows, items = rows.filter(pa.array(codes >= 0)), codes[codes >= 0]
    keys = rows["user_key"].combine_chunks()
    return Histories(
        _offsets(keys),
        items,
        rows["at"].cast(pa.int64()).to_numpy() // 1_000_000 * 1.0,
        _codes(rows["country"], pa.array(countries, pa.string())) + 1,
        rows["weight"].to_numpy().astype(np.float64),
        rows["label"].to_numpy() == 1,
    )


def read_countries(dataset: Path, split: str) -> tuple[str, ...]:
    """The countries that acts of a split were in, in their order."""
    named = pc.unique(read_rows(dataset, split)["country"]).to_pylist()
    return tuple(sorted(name for name in named if name))


def read_rows(dataset: Path, split: str) -> pa.Table:
    """The columns of a split that histories are made of; BadData when it cannot be read."""
    import datasets

    names = [*_ORDER, "country", "weight", "label"]
    try:
        table = datasets.load_from_disk(str(dataset / split)).with_format("arrow")[:]
        return _plain(table.select(names))
    except IndexError:  # what `datasets` makes of a split without a single row
        return _plain(pa.table({name: pa.array([], pa.string()) for name in names}))
    except (OSError, ValueError, KeyError) as error:
        raise BadData(
            f"no split {split} in the data set", expected=f"the columns {', '.join(names)}", seen=str(error)
        ) from error


def _plain(table: pa.Table) -> pa.Table:
    kinds = {"at": pa.timestamp("us"), "weight": pa.float32(), "label": pa.int32()}
    return table.cast(pa.schema([(name, kinds.get(name, pa.string())) for name in table.column_names]))


def _codes(values: Any, known: pa.Array) -> np.ndarray:
    """The place of each value among the known ones; -1 for others."""
    found = pc.fill_null(pc.index_in(values, value_set=known), -1)
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _offsets(keys: Any) -> np.ndarray:
    """Where each run of equal keys begins, and where the last one ends."""
    changes = np.flatnonzero(pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)) + 1
    return np.concatenate([[0], changes, [len(keys)]]) if len(keys) else np.zeros(1, dtype=np.int64)
