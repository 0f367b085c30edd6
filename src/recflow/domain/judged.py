"""Judged queries: the rows of a data set, grouped as every ranking rule needs them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from recflow.errors import BadData

COLUMNS = ("query_id", "query", "item_id", "title", "description", "grade", "weight", "frequency")


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


def read_judged(dataset: Path, split: str, *, required: bool = True) -> list[JudgedQuery]:
    """The queries of one split of a stored data set (`DatasetDict.save_to_disk`).

    BadData when it cannot be used; an empty split is [] unless it is `required`.
    """
    import datasets

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_from_disk(str(dataset / split)).with_format(None)
    except IndexError:  # what `datasets` makes of a split without a single row
        return [] if not required else judged_queries({name: [] for name in COLUMNS}, split)
    except (OSError, ValueError) as error:
        raise BadData(f"no split {split} in the data set", expected="a DatasetDict", seen=str(error)) from error
    if len(rows) == 0 and not required:
        return []
    return judged_queries({name: rows[name][:] for name in rows.column_names}, split)


def judged_queries(columns: Mapping[str, Sequence[Any]], split: str) -> list[JudgedQuery]:
    """The queries of a split, in order of first appearance; BadData when a column or every row is missing."""
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise BadData(
            f"split {split} of the data set", expected=f"columns {', '.join(COLUMNS)}", seen=f"no {missing[0]}"
        )
    _refuse_unlabelled(columns, split)
    places: dict[str, list[int]] = {}
    for index, query_id in enumerate(columns["query_id"]):
        places.setdefault(query_id, []).append(index)
    return [_query(columns, query_id, rows) for query_id, rows in places.items()]


def _refuse_unlabelled(columns: Mapping[str, Sequence[Any]], split: str) -> None:
    grades, weights = columns["grade"], columns["weight"]
    if len(grades) == 0:
        raise BadData(f"split {split} of the data set is empty", expected="at least one row", seen="none")
    bad = next((index for index, grade in enumerate(grades) if grade is None or not 0 <= grade <= 3), None)
    if bad is not None:
        raise BadData(f"row {bad} of split {split}", expected="a grade from 0 to 3", seen=repr(grades[bad]))
    bad = next((index for index, weight in enumerate(weights) if weight is None or not isfinite(weight)), None)
    if bad is not None:
        raise BadData(f"row {bad} of split {split}", expected="a weight", seen=repr(weights[bad]))


def _query(columns: Mapping[str, Sequence[Any]], query_id: str, rows: list[int]) -> JudgedQuery:
    def column(name: str) -> tuple[Any, ...]:
        return tuple(columns[name][row] for row in rows)

    return JudgedQuery(
        query_id,
        columns["query"][rows[0]],
        column("title"),
        tuple(text or "" for text in column("description")),
        tuple(map(float, column("grade"))),
        tuple(map(float, column("weight"))),
        columns["frequency"][rows[0]] or "",
        column("item_id"),
    )
