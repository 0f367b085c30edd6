"""Tokenised queries on disk, so that a split of any length takes no memory: flat arrays, read where they are needed."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, overload

import numpy as np

from recflow.training.batches import TokenisedQuery

# The ids of all texts, where each text ends in them, where each query's items end; and of each item the rest.
_ARRAYS = {
    "ids": "<i4",
    "text_ends": "<i8",
    "item_ends": "<i8",
    "grades": "<f4",
    "weights": "<f4",
    "offsets": "<f4",
}


class StoredQueries(Sequence[TokenisedQuery]):
    """The queries of a folder that `store_queries` wrote. Each is made when it is asked for."""

    def __init__(self, folder: Path, views: int) -> None:
        self._views = views
        self._arrays = {name: _mapped(folder / name, kind) for name, kind in _ARRAYS.items()}

    def __len__(self) -> int:
        return len(self._arrays["item_ends"])

    @overload
    def __getitem__(self, index: int) -> TokenisedQuery: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenisedQuery]: ...
    def __getitem__(self, index: int | slice) -> TokenisedQuery | list[TokenisedQuery]:
        places = range(len(self))[index]
        return self._query(places) if isinstance(places, int) else [self._query(place) for place in places]

    def _query(self, place: int) -> TokenisedQuery:
        ends = self._arrays["item_ends"]
        start, end = int(ends[place - 1]) if place else 0, int(ends[place])
        first = place + self._views * start
        items = range(end - start)
        views = tuple(
            tuple(self._text(first + 1 + view * len(items) + item) for item in items) for view in range(self._views)
        )
        rest = (np.array(self._arrays[name][start:end]) for name in ("grades", "weights", "offsets"))
        return TokenisedQuery(self._text(first), views, *rest)

    def _text(self, number: int) -> tuple[int, ...]:
        ends = self._arrays["text_ends"]
        return tuple(self._arrays["ids"][int(ends[number - 1]) if number else 0 : int(ends[number])].tolist())


def store_queries(queries: Iterable[TokenisedQuery], folder: Path, *, views: int) -> StoredQueries:
    """Write the queries one by one into an empty folder."""
    folder.mkdir()
    text_end = item_end = 0
    with ExitStack() as open_files:
        files = {name: open_files.enter_context((folder / name).open("wb")) for name in _ARRAYS}

        def write(name: str, values: Any) -> None:
            files[name].write(np.asarray(values, dtype=_ARRAYS[name]).tobytes())

        for query in queries:
            texts = [query.query, *(text for view in query.views for text in view)]
            ends = text_end + np.cumsum([len(text) for text in texts])
            text_end, item_end = int(ends[-1]), item_end + len(query.grades)
            write("ids", [token for text in texts for token in text])
            write("text_ends", ends)
            write("item_ends", [item_end])
            for name, values in (("grades", query.grades), ("weights", query.weights), ("offsets", query.offset)):
                write(name, values)
    return StoredQueries(folder, views)


def _mapped(path: Path, kind: str) -> np.ndarray:
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.zeros(0, dtype=kind)
