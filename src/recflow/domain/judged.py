"""Judged queries: the rows of a data set, grouped as every ranking rule needs them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import Any, overload

from recflow.errors import BadData

COLUMNS = ("query_id", "query", "item_id", "title", "description", "grade", "weight", "frequency")
_READ_AT_ONCE = 500  # queries


@dataclass(frozen=True)
class JudgedQuery:
    """One query with its items in the data set's order. Grades are 0 … 3; `frequency` is head, torso or tail.

    `items` are their ids, where they are known.
    """

    query_id: str
    query: str
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    grades: tuple[float, ...]
    weights: tuple[float, ...]
    frequency: str
    items: tuple[str, ...] = ()

    def only(self, indices: Iterable[int]) -> "JudgedQuery":
        """The same query with some of its items."""
        kept = tuple(indices)
        return JudgedQuery(
            self.query_id,
            self.query,
            tuple(self.titles[index] for index in kept),
            tuple(self.descriptions[index] for index in kept),
            tuple(self.grades[index] for index in kept),
            tuple(self.weights[index] for index in kept),
            self.frequency,
            tuple(self.items[index] for index in kept) if self.items else (),
        )


class JudgedSplit(Sequence[JudgedQuery]):
    """The queries of a split in order of first appearance, read from its mapped files when they are asked for.

    What is held are numbers: which rows each query has.
    """

    def __init__(self, rows: Any, order: Any, ends: Any) -> None:
        self._rows, self._order, self._ends = rows, order, ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> JudgedQuery: ...
    @overload
    def __getitem__(self, index: slice) -> list[JudgedQuery]: ...
    def __getitem__(self, index: int | slice) -> JudgedQuery | list[JudgedQuery]:
        places = range(len(self))[index]
        return next(self._queries([places])) if isinstance(places, int) else list(self._queries(places))

    def __iter__(self) -> Iterator[JudgedQuery]:
        for start in range(0, len(self), _READ_AT_ONCE):
            yield from self[start : start + _READ_AT_ONCE]

    @property
    def items(self) -> int:
        """How many rows the queries have."""
        return len(self._order)

    def query_id(self, place: int) -> str:
        """The id of a query, without its rows."""
        return str(self._rows[int(self._order[self._start(place)])]["query_id"])

    def only(self, places: Sequence[int]) -> "JudgedSplit":
        """Some of the queries, in the order of `places`."""
        parts = [self._order[self._start(place) : self._ends[place]] for place in places]
        return JudgedSplit(
            self._rows, [row for part in parts for row in part], list(accumulate(len(part) for part in parts))
        )

    def _start(self, place: int) -> int:
        return int(self._ends[place - 1]) if place else 0

    def _queries(self, places: Sequence[int]) -> Iterator[JudgedQuery]:
        """Queries whose rows are read together: each reading has a cost of its own."""
        rows = [int(row) for place in places for row in self._order[self._start(place) : self._ends[place]]]
        found, start = self._rows[rows] if rows else {}, 0
        for place in places:
            end = start + int(self._ends[place]) - self._start(place)
            yield _query({name: found[name][start:end] for name in COLUMNS})
            start = end


def _query(columns: Mapping[str, Sequence[Any]]) -> JudgedQuery:
    return JudgedQuery(
        columns["query_id"][0],
        columns["query"][0],
        tuple(columns["title"]),
        tuple(text or "" for text in columns["description"]),
        tuple(map(float, columns["grade"])),
        tuple(map(float, columns["weight"])),
        columns["frequency"][0] or "",
        tuple(columns["item_id"]),
    )


def read_judged(dataset: Path, split: str, *, required: bool = True) -> list[JudgedQuery]:
    """The queries of one split of a stored data set, all of them in memory: for those that are held out."""
    return list(open_judged(dataset, split, required=required))


def open_judged(dataset: Path, split: str, *, required: bool = True) -> JudgedSplit:
    """The queries of one split of a stored data set (`DatasetDict.save_to_disk`).

    BadData when it cannot be used; an empty split has no query unless it is `required`.
    """
    import datasets

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_from_disk(str(dataset / split)).with_format(None)
    except IndexError:  # what `datasets` makes of a split without a single row
        rows = datasets.Dataset.from_dict({name: [] for name in COLUMNS})
    except (OSError, ValueError) as error:
        raise BadData(f"no split {split} in the data set", expected="a DatasetDict", seen=str(error)) from error
    if len(rows) == 0 and not required:
        return JudgedSplit(rows, [], [])
    return judged_split(rows, split)


def judged_split(rows: Any, split: str) -> JudgedSplit:
    """The queries of the rows of a split (`datasets.Dataset`); BadData when a column or every row is missing."""
    missing = [name for name in COLUMNS if name not in rows.column_names]
    if missing:
        raise BadData(
            f"split {split} of the data set", expected=f"columns {', '.join(COLUMNS)}", seen=f"no {missing[0]}"
        )
    if len(rows) == 0:
        raise BadData(f"split {split} of the data set is empty", expected="at least one row", seen="none")
    _refuse_unlabelled(rows, split)
    import numpy as np

    # One dictionary for all chunks, in order of first appearance.
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in rows.data["query_id"].dictionary_encode().chunks])
    return JudgedSplit(rows, np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes)))


def _refuse_unlabelled(rows: Any, split: str) -> None:
    import numpy as np

    for name, expected, lowest, highest in (("grade", "a grade from 0 to 3", 0, 3), ("weight", "a weight", -inf, inf)):
        first = 0
        for chunk in rows.data[name].chunks:
            values = chunk.to_numpy(zero_copy_only=False).astype(float)
            bad = np.flatnonzero(~((values >= lowest) & (values <= highest) & np.isfinite(values)))
            if len(bad):
                seen = repr(chunk[int(bad[0])].as_py())
                raise BadData(f"row {first + int(bad[0])} of split {split}", expected=expected, seen=seen)
            first += len(chunk)
