"""Ranking metrics by query. Grades are 0 … 3; gain is 2**grade - 1.

nDCG: Järvelin and Kekäläinen 2002, with the exponential gain of Burges et al. 2005. Ties are broken by the order in
which the items were given, so that a constant score is judged by chance and not by luck of the sort.
"""

import math
from collections.abc import Sequence

RELEVANT_GRADE = 2


def order(scores: Sequence[float]) -> list[int]:
    """Indices from the highest score to the lowest; equal scores keep their order."""
    return sorted(range(len(scores)), key=lambda index: -scores[index])


def ndcg(grades: Sequence[float], scores: Sequence[float], k: int = 10) -> float | None:
    """nDCG@k in [0, 1]; None when every grade is 0, since no order is better than another."""
    ideal = _dcg(sorted(grades, reverse=True)[:k])
    if ideal == 0:
        return None
    return _dcg([grades[index] for index in order(scores)[:k]]) / ideal


def _dcg(grades: Sequence[float]) -> float:
    return sum((2**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(grades))


def reciprocal_rank(grades: Sequence[float], scores: Sequence[float]) -> float | None:
    """1 / rank of the first item with grade >= 2; None when there is none."""
    for rank, index in enumerate(order(scores), start=1):
        if grades[index] >= RELEVANT_GRADE:
            return 1 / rank
    return None


def recall(grades: Sequence[float], scores: Sequence[float], k: int = 10) -> float | None:
    """Share of the items with grade >= 2 that stand in the first k; None when there is none."""
    relevant = sum(grade >= RELEVANT_GRADE for grade in grades)
    if relevant == 0:
        return None
    return sum(grades[index] >= RELEVANT_GRADE for index in order(scores)[:k]) / min(relevant, k)
