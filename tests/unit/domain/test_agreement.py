import random

import pytest
from scipy import stats

from recflow.domain.agreement import kendall_tau, mean_difference, overlap


@pytest.mark.parametrize("seed", range(200))
def test_tau_is_that_of_scipy_for_lists_with_and_without_ties(seed):
    dice = random.Random(seed)
    size, values = dice.randint(2, 40), dice.choice((2, 5, 10**6))
    first, second = ([float(dice.randrange(values)) for _ in range(size)] for _ in range(2))
    expected = stats.kendalltau(first, second, variant="b").statistic
    told = kendall_tau(first, second)
    if len({*first}) > 1 and len({*second}) > 1:
        assert told == pytest.approx(expected, abs=1e-12)


def test_the_same_order_is_one_and_the_opposite_one_minus_one_however_far_the_scores_are_apart():
    assert kendall_tau([3, 2, 1], [0.03, 0.02, 0.01]) == 1
    assert kendall_tau([3, 2, 1], [-300, -20, 1]) == -1
    assert kendall_tau([*range(1001)], [-number for number in range(1001)]) == -1


@pytest.mark.parametrize("scores", [[], [1.0]])
def test_a_list_of_one_item_has_nothing_to_compare(scores):
    assert kendall_tau(scores, scores) is None


def test_without_any_order_there_is_nothing_to_compare_and_with_one_alone_no_agreement():
    assert kendall_tau([1, 1, 1], [5, 5, 5]) is None
    assert kendall_tau([1, 2, 3], [5, 5, 5]) == 0
    assert kendall_tau([1, 1, 1], [5, 6, 7]) == 0


def test_the_overlap_is_that_of_the_first_ten_and_says_nothing_of_lists_that_are_shown_whole():
    falling = [-float(number) for number in range(20)]
    assert overlap(falling, falling) == 1
    assert overlap(falling, [-score for score in falling]) == 0
    assert overlap(falling[:15], [-score for score in falling[:15]]) == 0.5
    assert overlap(falling[:10], falling[:10]) is None


def test_the_difference_of_scores_is_their_mean_distance():
    assert mean_difference([1.0, 2.0], [1.5, 1.0]) == 0.75
