"""Ranking metrics by query. Grades are 0 … 3; gain is 2**grade - 1; scores are finite.

A metric is None where every order of the items has the same value: such a query cannot tell one ranker from another,
and must not be counted as if it had agreed. Items with equal scores stand in any order with the same chance; a metric
is its expectation over these orders, in closed form (McSherry and Najork, ECIR 2008), never the stored order's value.

nDCG: Järvelin and Kekäläinen 2002, with the exponential gain of Burges et al. 2005.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

RELEVANT_GRADE = 2


def order(scores: Sequence[float]) -> list[int]:
    """Indices from the highest score to the lowest, to be shown; equal scores keep their order. Not for judging."""
    return sorted(range(len(scores)), key=lambda index: -scores[index])


def ndcg(grades: Sequence[float], scores: Sequence[float], k: int = 10) -> float | None:
    """Expected nDCG@k in [0, 1]; None for fewer than two different grades."""
    gains = [2**grade - 1 for grade in grades]
    if not gains or min(gains) == max(gains):
        return None
    found = sum(
        sum(gains[index] for index in tied) / len(tied) * sum(map(_discount, range(start, min(start + len(tied), k))))
        for start, tied in _ties(scores)
    )
    ideal = sum(gain * _discount(rank) for rank, gain in enumerate(sorted(gains, reverse=True)[:k]))
    return min(1.0, found / ideal)


def reciprocal_rank(grades: Sequence[float], scores: Sequence[float]) -> float | None:
    """Expected 1 / rank of the first item with grade >= 2; None where no item has it, or every one."""
    relevant = _relevant(grades)
    if len(relevant) in (0, len(grades)):
        return None
    start, tied = next((start, tied) for start, tied in _ties(scores) if not relevant.isdisjoint(tied))
    size, hits = len(tied), len(relevant.intersection(tied))
    # Of all ways to place the tie's hits, those with the first one at a place have the others behind it.
    ways = (math.comb(size - 1 - place, hits - 1) / (start + place + 1) for place in range(size - hits + 1))
    return sum(ways) / math.comb(size, hits)


def recall(grades: Sequence[float], scores: Sequence[float], k: int = 10) -> float | None:
    """Expected share of the items with grade >= 2 (of k, where there are more) that stand in the first k.

    None where no item has the grade, or every one, or all items stand in the first k.
    """
    relevant = _relevant(grades)
    if len(relevant) in (0, len(grades)) or len(grades) <= k:
        return None
    found = sum(
        len(relevant.intersection(tied)) * min(k - start, len(tied)) / len(tied)
        for start, tied in _ties(scores)
        if start < k
    )
    return found / min(len(relevant), k)


def _relevant(grades: Sequence[float]) -> set[int]:
    return {index for index, grade in enumerate(grades) if grade >= RELEVANT_GRADE}


def _ties(scores: Sequence[float]) -> Iterator[tuple[int, list[int]]]:
    """For each distinct score, the highest first: how many items stand before it, and the indices of its items."""
    start = 0
    for _, group in groupby(order(scores), key=lambda index: scores[index]):
        tied = list(group)
        yield start, tied
        start += len(tied)


def _discount(rank: int) -> float:
    """What an item at a rank (the first is 0) is worth."""
    return 1 / math.log2(rank + 2)
