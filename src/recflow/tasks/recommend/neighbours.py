"""Item-item collaborative filtering: which items follow each other in histories, the strongest ones an item."""

from dataclasses import dataclass

import numpy as np

from recflow.tasks.recommend.histories import Histories


@dataclass(frozen=True)
class Neighbours:
    """Of each item its neighbours, the strongest first: `items` and `weights`, both (items, kept).

    An item with fewer has the weight 0 in the places that are left.
    """

    items: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class NeighbourRule:
    """How two acts of one user tie their items: to the item of an act by as much as the act teaches.

    `window`: up to how many acts apart; `decay`: how much less a tie weighs with each act between; `backwards`: what
    a tie to the earlier item weighs against one to the later; `damping`: the power of an item's acts by which its
    ties are divided, so that what everybody has says less of what comes next; `neighbour_damping`: the same for the
    neighbour's acts, so that what everybody has is not everybody's neighbour; `kept`: neighbours an item.
    """

    window: int
    decay: float
    backwards: float
    damping: float
    neighbour_damping: float
    kept: int


def find_neighbours(histories: Histories, items: int, rule: NeighbourRule) -> Neighbours:
    """The neighbours of each of `items` items by counted, damped co-occurrence within users."""
    keys, weights = _ties(histories, items, rule)
    item, neighbour = keys // items, keys % items
    acts = np.maximum(np.bincount(histories.items, minlength=items), 1.0)
    weights = weights * acts[item] ** -rule.damping * acts[neighbour] ** -rule.neighbour_damping
    return _strongest(item, neighbour, weights, items, rule.kept)


def _ties(histories: Histories, items: int, rule: NeighbourRule) -> tuple[np.ndarray, np.ndarray]:
    """Each tied pair once, as item * items + neighbour, and what its ties weigh together."""
    users, codes = histories.users, histories.items
    found = [_summed(np.empty(0, np.int64), np.empty(0))]
    for apart in range(1, min(rule.window, len(codes) - 1) + 1):
        first = np.flatnonzero(users[:-apart] == users[apart:])
        first = first[codes[first] != codes[first + apart]]
        one, other = codes[first], codes[first + apart]
        weighs = rule.decay ** (apart - 1)
        forwards, backwards = weighs * histories.weights[first + apart], weighs * histories.weights[first]
        keys = np.concatenate([one * items + other, other * items + one])
        found.append(_summed(keys, np.concatenate([forwards, backwards * rule.backwards])))
    every_key, every_weight = zip(*found, strict=True)
    return _summed(np.concatenate(every_key), np.concatenate(every_weight))


def _summed(keys: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distinct, place = np.unique(keys, return_inverse=True)
    return distinct, np.bincount(place, weights=weights, minlength=len(distinct))


def _strongest(one: np.ndarray, other: np.ndarray, weights: np.ndarray, items: int, kept: int) -> Neighbours:
    order = np.lexsort((other, -weights, one))
    one, other, weights = one[order], other[order], weights[order]
    starts = np.searchsorted(one, np.arange(items))
    rank = np.arange(len(one)) - starts[one]
    near = rank < kept
    found = Neighbours(np.zeros((items, kept), np.int32), np.zeros((items, kept), np.float32))
    found.items[one[near], rank[near]] = other[near]
    found.weights[one[near], rank[near]] = weights[near]
    return found
