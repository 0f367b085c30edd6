import numpy as np
import pytest

from recflow.tasks.recommend.held_out import hold_out
from recflow.tasks.recommend.histories import Histories

RANDOM = np.random.default_rng(0)


def histories(*users):
    """Each user as items of the history and items to be predicted."""
    items = np.array([item for before, after in users for item in (*before, *after)], dtype=np.int64)
    targets = np.array(
        [wanted for before, after in users for wanted in (*(False for _ in before), *(True for _ in after))]
    )
    nothing = np.zeros(len(items))
    return Histories(
        np.cumsum([0, *(len(before) + len(after) for before, after in users)]),
        items,
        nothing,
        nothing.astype(int),
        nothing + 1,
        targets,
    )


def test_users_without_a_history_or_without_anything_to_predict_are_left_out():
    found = hold_out(histories([[0], [1]], [[], [1]], [[0, 1], []], [[2, 3], [1, 0]]), RANDOM)
    assert [found.history(user).tolist() for user in range(len(found))] == [[0], [2, 3]]


def test_ndcg_is_that_of_the_wanted_items_ranks():
    found = hold_out(histories([[0], [1]], [[0], [1, 2]]), RANDOM)
    scores = np.array([[9.0, 2.0, 3.0, 1.0], [9.0, 2.0, 1.0, 3.0]])
    ideal = 1 + 1 / np.log2(3)
    assert found.ndcg(scores.copy(), exclude_seen=True) == pytest.approx(
        [1 / np.log2(3), (1 / np.log2(3) + 0.5) / ideal]
    )
    assert found.ndcg(scores, exclude_seen=False)[0] == pytest.approx(0.5)


def test_an_item_below_the_tenth_place_gives_nothing_and_equal_scores_stand_before_it():
    found = hold_out(histories([[0], [11]]), RANDOM)
    assert found.ndcg(np.zeros((1, 12)), exclude_seen=True).tolist() == [0]


def test_the_newest_acts_of_a_history_are_kept():
    found = hold_out(histories([[0, 1, 2], [3]]), RANDOM).newest(2)
    assert found.history(0).tolist() == [1, 2]
    assert [chunk.history(0).tolist() for chunk in found.chunks()] == [[1, 2]]
