"""Batches of whole queries under a token budget."""

import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from recflow.training.encoder import TokenIds


@dataclass(frozen=True)
class TokenisedQuery:
    """A query as the loop needs it. `views[v][i]` are the ids of item i in view v; vectors are over the items.

    `offset` is the part of each item's score that training does not move (the lexical features).
    """

    query: TokenIds
    views: tuple[tuple[TokenIds, ...], ...]
    grades: np.ndarray
    weights: np.ndarray
    offset: np.ndarray

    @property
    def item_tokens(self) -> list[int]:
        """Tokens of each item over all views."""
        return [sum(map(len, texts)) for texts in zip(*self.views, strict=True)]

    def only(self, indices: Sequence[int]) -> "TokenisedQuery":
        """The same query with some of its items."""
        rows = list(indices)
        views = tuple(tuple(view[row] for row in rows) for view in self.views)
        return TokenisedQuery(self.query, views, self.grades[rows], self.weights[rows], self.offset[rows])


class EpochBatches(Sequence[list[TokenisedQuery]]):
    """One epoch's batches, each made when it is asked for: what is kept is a number a part, and one a batch.

    `owners` says whose each part is, `dealt` which items are in those that are not a whole query; batch b has the parts
    from `starts[b]` on.
    """

    def __init__(
        self,
        queries: Sequence[TokenisedQuery],
        owners: "array[int]",
        dealt: Mapping[int, list[int]],
        order: "array[int]",
    ) -> None:
        self._queries, self._owners, self._dealt, self._order = queries, owners, dealt, order
        self._starts = array("q")

    def fill(self, tokens: "array[int]", budget: int) -> "EpochBatches":
        """Cut the order into batches: the next one begins where a part has no room."""
        room = 0
        for place, part in enumerate(self._order):
            if not place or tokens[part] > room:
                self._starts.append(place)
                room = budget
            room -= tokens[part]
        return self

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> list[TokenisedQuery]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[TokenisedQuery]]: ...
    def __getitem__(self, index: int | slice) -> list[TokenisedQuery] | list[list[TokenisedQuery]]:
        places = range(len(self))[index]
        return self._batch(places) if isinstance(places, int) else [self._batch(place) for place in places]

    def _batch(self, place: int) -> list[TokenisedQuery]:
        end = self._starts[place + 1] if place + 1 < len(self) else len(self._order)
        return [self._part(part) for part in self._order[self._starts[place] : end]]

    def _part(self, part: int) -> TokenisedQuery:
        query = self._queries[self._owners[part]]
        return query.only(self._dealt[part]) if part in self._dealt else query


def epoch_batches(queries: Sequence[TokenisedQuery], budget: int, seed: int, epoch: int) -> EpochBatches:
    """One epoch, in an order that follows from seed and epoch alone.

    A batch holds at most `budget` tokens, or one pair of items that is longer by itself.

    A query whose items exceed the budget is dealt into several parts, each compared within itself. Inside a batch the
    texts are encoded in order of length (`encoder.embed`), so hardly any padding is added to the tokens counted here.
    """
    chance = random.Random(f"{seed}:{epoch}")
    owners, tokens, dealt = array("q"), array("q"), dict[int, list[int]]()
    for number, query in enumerate(queries):
        items = query.item_tokens
        for part in _parts(len(query.query), items, budget, chance):
            if len(part) < len(items):
                dealt[len(owners)] = part
            owners.append(number)
            tokens.append(len(query.query) + sum(items[item] for item in part))
    order = array("q", range(len(owners)))
    chance.shuffle(order)
    return EpochBatches(queries, owners, dealt, order).fill(tokens, budget)


def _parts(asked: int, tokens: Sequence[int], budget: int, chance: random.Random) -> list[list[int]]:
    """The items of a query by parts, from the tokens that it and each item has."""
    order = list(range(len(tokens)))
    room = max(2, (budget - asked) // max(tokens))
    if sum(tokens) + asked <= budget or len(tokens) <= room:
        return [order]
    chance.shuffle(order)
    count = min(-(-len(order) // room), len(order) // 2)
    return [sorted(order[start::count]) for start in range(count)]
