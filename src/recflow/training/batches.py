"""Batches of whole queries under a token budget."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

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


def epoch_batches(queries: Sequence[TokenisedQuery], budget: int, seed: int, epoch: int) -> list[list[TokenisedQuery]]:
    """One epoch, in an order that follows from seed and epoch alone.

    A batch holds at most `budget` tokens, or one pair of items that is longer by itself.

    A query whose items exceed the budget is dealt into several parts, each compared within itself. Inside a batch the
    texts are encoded in order of length (`encoder.embed`), so hardly any padding is added to the tokens counted here.
    """
    chance = random.Random(f"{seed}:{epoch}")
    parts = [part for query in queries for part in _parts(query, budget, chance)]
    chance.shuffle(parts)
    batches: list[list[TokenisedQuery]] = []
    room = 0
    for part in parts:
        tokens = len(part.query) + sum(part.item_tokens)
        if not batches or tokens > room:
            batches.append([])
            room = budget
        batches[-1].append(part)
        room -= tokens
    return batches


def _parts(query: TokenisedQuery, budget: int, chance: random.Random) -> list[TokenisedQuery]:
    tokens = query.item_tokens
    room = max(2, (budget - len(query.query)) // max(tokens))
    if sum(tokens) + len(query.query) <= budget or len(tokens) <= room:
        return [query]
    order = list(range(len(tokens)))
    chance.shuffle(order)
    count = min(-(-len(order) // room), len(order) // 2)
    return [query.only(sorted(order[start::count])) for start in range(count)]
