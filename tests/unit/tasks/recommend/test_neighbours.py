from dataclasses import replace

import numpy as np
import pytest

from recflow.tasks.recommend.histories import Histories
from recflow.tasks.recommend.neighbours import NeighbourRule, find_neighbours


def histories(*users):
    items = np.array([item for user in users for item in user], dtype=np.int64)
    nothing = np.zeros(len(items))
    return Histories(np.cumsum([0, *map(len, users)]), items, nothing, nothing.astype(int), nothing + 1, nothing == 0)


def dense(found):
    ties = np.zeros((len(found.items),) * 2)
    for one, (others, weights) in enumerate(zip(found.items, found.weights, strict=True)):
        for other, weight in zip(others, weights, strict=True):
            ties[one, other] += weight
    return ties


def rule(**options):
    return NeighbourRule(
        **{"window": 9, "decay": 1.0, "backwards": 0.0, "damping": 0.0, "neighbour_damping": 0.0, "kept": 3, **options}
    )


def test_the_later_item_is_the_earlier_ones_neighbour_as_often_as_it_follows():
    found = find_neighbours(histories([0, 1, 2], [0, 1]), 3, rule())
    assert dense(found).tolist() == [[0, 2, 1], [0, 0, 1], [0, 0, 0]]


def test_a_tie_weighs_less_with_each_act_between_and_less_to_the_earlier_item():
    found = find_neighbours(histories([0, 1, 2]), 3, rule(decay=0.5, backwards=0.25))
    assert dense(found).tolist() == [[0, 1, 0.5], [0.25, 0, 1], [0.125, 0.25, 0]]


def test_a_tie_weighs_as_much_as_the_act_on_the_item_that_it_leads_to():
    acts = replace(histories([0, 1]), weights=np.array([2.0, 3.0]))
    assert dense(find_neighbours(acts, 2, rule(backwards=1.0))).tolist() == [[0, 3], [2, 0]]


def test_acts_that_are_too_far_apart_or_of_other_users_are_not_tied():
    found = find_neighbours(histories([0, 1, 2], [3]), 4, rule(window=1))
    assert dense(found).nonzero()[0].tolist() == [0, 1]


def test_an_item_is_not_its_own_neighbour():
    assert dense(find_neighbours(histories([0, 0, 0]), 1, rule(kept=1))).tolist() == [[0]]


def test_what_everybody_has_says_less():
    found = find_neighbours(histories([0, 1], [0, 1], [0], [2, 1]), 3, rule(damping=0.5))
    assert dense(found)[:, 1] == pytest.approx([2 * 3**-0.5, 0, 1])


def test_what_everybody_has_is_not_everybodys_neighbour():
    found = find_neighbours(histories([0, 1], [0, 1], [2, 1], [0, 2]), 3, rule(neighbour_damping=0.5))
    assert dense(found)[0] == pytest.approx([0, 2 * 3**-0.5, 2**-0.5])


def test_the_strongest_are_kept_and_stand_first():
    found = find_neighbours(histories([0, 1], [0, 2], [0, 2], [0, 3], [0, 3], [0, 3]), 4, rule(kept=2))
    assert found.items[0].tolist() == [3, 2]
    assert found.weights[0].tolist() == [3, 2]


def test_users_with_one_act_give_no_ties():
    assert not find_neighbours(histories([0], [1]), 2, rule()).weights.any()
