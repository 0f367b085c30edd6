import math
import random
from itertools import chain, groupby, permutations, product
from statistics import fmean

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
        ([3, 0], [5, 5], (1 + 1 / LOG3) / 2),
    ],
)
def test_ndcg_is_what_a_hand_computes(grades, scores, expected):
    assert ndcg(grades, scores) == pytest.approx(expected)


def test_only_the_first_k_places_count():
    assert ndcg([0, 0, 3], [3, 2, 1], k=2) == 0
    assert ndcg([3, 3, 0], [3, 2, 1], k=2) == 1


def test_ndcg_agrees_with_scikit_learn_where_no_scores_are_equal():
    draw = random.Random(7)
    for _ in range(200):
        size = draw.randint(2, 30)
        grades = [draw.choice([0, 1, 2, 3]) for _ in range(size)]
        if len(set(grades)) == 1:
            continue
        scores = draw.sample(range(1000), size)
        gains = np.array([[2**grade - 1 for grade in grades]])
        assert ndcg(grades, scores) == pytest.approx(ndcg_score(gains, np.array([scores]), k=10, ignore_ties=True))


def test_what_is_shown_of_equal_scores_keeps_the_given_order():
    assert order([1, 1, 1]) == [0, 1, 2]


@pytest.mark.parametrize("metric", [ndcg, reciprocal_rank, recall])
def test_a_constant_score_is_worth_the_same_in_whatever_order_items_are_stored(metric):
    grades = [3, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    expected = metric(grades, [0.5] * 12)
    assert expected < 0.9
    assert metric(grades[::-1], [0.5] * 12) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [ndcg, reciprocal_rank, recall])
@pytest.mark.parametrize("grades", [[], [0], [3], [0] * 12, [3] * 12])
def test_a_query_of_one_item_or_of_one_grade_cannot_tell(metric, grades):
    assert metric(grades, [1.0] * len(grades)) is None


def test_a_list_that_is_found_whole_has_no_recall():
    assert recall([3] + [0] * 9, list(range(10)), k=10) is None
    assert recall([3] + [0] * 10, list(range(11)), k=10) == 0


K = 3
# Ours, the oracle's on gains 2**grade - 1, and what turns its recall, of all relevant items, into that of K places.
METRICS = {
    "ndcg": (lambda grades, scores: ndcg(grades, scores, K), ir_measures.nDCG @ K),
    "reciprocal_rank": (reciprocal_rank, ir_measures.RR(rel=3)),
    "recall": (lambda grades, scores: recall(grades, scores, K), ir_measures.R(rel=3) @ K),
}
RANKINGS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1.0, 0.0, 0.25, 7.0])), min_size=1, max_size=5)


def by_the_oracle(name, grades, orders):
    """What ir-measures says of each order of the items, the first one best."""
    judged = [
        ir_measures.Qrel(str(query), str(item), 2**grade - 1)
        for query in range(len(orders))
        for item, grade in enumerate(grades)
    ]
    ranked = [
        ir_measures.ScoredDoc(str(query), str(item), -float(rank))
        for query, items in enumerate(orders)
        for rank, item in enumerate(items)
    ]
    relevant = sum(grade >= 2 for grade in grades)
    scale = relevant / min(relevant, K) if name == "recall" and relevant else 1
    return [found.value * scale for found in ir_measures.iter_calc([METRICS[name][1]], judged, ranked)]


def tied_orders(scores):
    """Every order that the scores allow."""
    levels = [list(group) for _, group in groupby(order(scores), key=lambda index: scores[index])]
    return [list(chain(*chosen)) for chosen in product(*(permutations(level) for level in levels))]


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=40, deadline=None)
@given(ranking=RANKINGS)
def test_a_metric_is_the_oracles_mean_over_the_orders_that_ties_allow(name, ranking):
    grades, scores = zip(*ranking, strict=True)
    found = METRICS[name][0](grades, scores)
    if found is not None:
        assert found == pytest.approx(fmean(by_the_oracle(name, grades, tied_orders(scores))), abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=40, deadline=None)
@given(ranking=RANKINGS)
def test_a_metric_is_unknown_exactly_where_the_oracle_gives_every_order_one_value(name, ranking):
    grades, scores = zip(*ranking, strict=True)
    every = by_the_oracle(name, grades, list(permutations(range(len(grades)))))
    assert (METRICS[name][0](grades, scores) is None) == (max(every) - min(every) < 1e-9)


def test_the_reciprocal_rank_is_that_of_the_first_relevant_item():
    assert reciprocal_rank([1, 2, 3], [3, 2, 1]) == 1 / 2
    assert reciprocal_rank([3, 0], [1, 0]) == 1
    assert reciprocal_rank([1, 1], [1, 0]) is None


def test_recall_is_the_share_of_relevant_items_found_in_the_first_k():
    assert recall([2, 0, 3], [3, 2, 1], k=1) == 1
    assert recall([2, 0, 3], [3, 2, 1], k=2) == 1 / 2
    assert recall([3] * 12 + [0] * 8, list(range(20)), k=10) == 2 / 10


def test_fractional_grades_are_gained_smoothly():
    assert ndcg([1.5, 0.5], [1, 2]) == pytest.approx(
        ((2**0.5 - 1) + (2**1.5 - 1) / LOG3) / ((2**1.5 - 1) + (2**0.5 - 1) / LOG3)
    )
