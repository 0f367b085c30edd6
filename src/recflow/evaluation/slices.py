"""Slices: named parts of the test rows, by the query's frequency or by what its items have."""

from collections.abc import Sequence
from dataclasses import dataclass

from recflow.domain.judged import JudgedQuery

_FREQUENCIES = ("head", "torso", "tail")
NAMES = (*_FREQUENCIES, "with_description", "without_description")


@dataclass(frozen=True)
class Part:
    """The rows of a slice: query `index` of all test queries with some of its items."""

    index: int
    items: tuple[int, ...]


def slice_parts(queries: Sequence[JudgedQuery], name: str) -> list[Part]:
    """The parts that belong to a slice; whether a part can tell anything is for each metric to say."""
    found = [Part(index, _items(query, name)) for index, query in enumerate(queries)]
    return [part for part in found if part.items]


def _items(query: JudgedQuery, name: str) -> tuple[int, ...]:
    if name in _FREQUENCIES:
        return tuple(range(len(query.titles))) if query.frequency == name else ()
    wanted = name == "with_description"
    return tuple(index for index, text in enumerate(query.descriptions) if bool(text) is wanted)
