import math
import random

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from recflow.domain.ranking import ndcg, order, recall, reciprocal_rank

LOG3 = math.log2(3)


@pytest.mark.parametrize(
    ("grades", "scores", "expected"),
    [
        ([3, 0], [2, 1], 1.0),
        ([3, 0], [1, 2], 1 / LOG3),
        ([3, 1], [1, 2], (1 + 7 / LOG3) / (7 + 1 / LOG3)),
        ([0, 2, 3], [3, 2, 1], (3 / LOG3 + 7 / 2) / (7 + 3 / LOG3)),
        ([1], [-5], 1.0),
    ],
)
def test_ndcg_is_what_a_hand_computes(grades, scores, expected):
    assert ndcg(grades, scores) == pytest.approx(expected)


def test_only_the_first_k_places_count():
    assert ndcg([0, 0, 3], [3, 2, 1], k=2) == 0
    assert ndcg([3, 3, 3], [1, 2, 3], k=2) == 1


def test_ndcg_agrees_with_scikit_learn_where_no_scores_are_equal():
    draw = random.Random(7)
    for _ in range(200):
        size = draw.randint(2, 30)
        grades = [draw.choice([0, 1, 2, 3]) for _ in range(size)]
        if not any(grades):
            continue
        scores = draw.sample(range(1000), size)
        gains = np.array([[2**grade - 1 for grade in grades]])
        assert ndcg(grades, scores) == pytest.approx(ndcg_score(gains, np.array([scores]), k=10, ignore_ties=True))


def test_a_constant_score_keeps_the_given_order():
    assert order([1, 1, 1]) == [0, 1, 2]
    assert ndcg([0, 3], [5, 5]) == pytest.approx(1 / LOG3)


@pytest.mark.parametrize("metric", [ndcg, reciprocal_rank, recall])
@pytest.mark.parametrize("grades", [[], [0, 0, 0]])
def test_a_query_without_anything_relevant_has_no_value(metric, grades):
    assert metric(grades, [1.0] * len(grades)) is None


def test_the_reciprocal_rank_is_that_of_the_first_relevant_item():
    assert reciprocal_rank([1, 2, 3], [3, 2, 1]) == 1 / 2
    assert reciprocal_rank([3, 0], [1, 0]) == 1
    assert reciprocal_rank([1, 1], [1, 0]) is None


def test_recall_is_the_share_of_relevant_items_found_in_the_first_k():
    assert recall([2, 0, 3], [3, 2, 1], k=1) == 1
    assert recall([2, 0, 3], [3, 2, 1], k=2) == 1 / 2
    assert recall([3] * 20, list(range(20)), k=10) == 1


def test_fractional_grades_are_gained_smoothly():
    assert ndcg([1.5, 0.5], [1, 2]) == pytest.approx(
        ((2**0.5 - 1) + (2**1.5 - 1) / LOG3) / ((2**1.5 - 1) + (2**0.5 - 1) / LOG3)
    )
