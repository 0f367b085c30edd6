"""How far two versions agree on one list, from the scores that each gives its items.

Kendall's tau-b (Biometrika 1945) counts pairs in the same order less pairs in the opposite one, and allows for ties.
"""

import math
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Sequence

from recflow.domain.ranking import order


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """tau-b in [-1, 1]: 1 for the same order, -1 for the opposite one, 0 where only one of the two has an order.

    None where there is nothing to compare: fewer than two items, or no order on either side.
    """
    pairs = math.comb(len(first), 2)
    tied_first, tied_second = _tied_pairs(first), _tied_pairs(second)
    ordered_first, ordered_second = pairs - tied_first, pairs - tied_second
    if not ordered_first and not ordered_second:
        return None
    if not ordered_first or not ordered_second:
        return 0.0
    both = list(zip(first, second, strict=True))
    opposite = _opposite_pairs([score for _, score in sorted(both)])
    alike = pairs - tied_first - tied_second + _tied_pairs(both) - opposite
    return (alike - opposite) / math.sqrt(ordered_first * ordered_second)


def overlap(first: Sequence[float], second: Sequence[float], k: int = 10) -> float | None:
    """The share of the first k items that both show among their first k; None where both show every item there."""
    if len(first) <= k:
        return None
    return len({*order(first)[:k]} & {*order(second)[:k]}) / k


def mean_difference(first: Sequence[float], second: Sequence[float]) -> float:
    """The mean absolute difference of the scores; the lists have at least one item."""
    return math.fsum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)


def _tied_pairs(values: Iterable[object]) -> int:
    return sum(math.comb(count, 2) for count in Counter(values).values())


def _opposite_pairs(values: Iterable[float]) -> int:
    """Pairs of which the larger comes first."""
    before: list[float] = []
    found = 0
    for value in values:
        found += len(before) - bisect_right(before, value)
        insort(before, value)
    return found
