import math
from statistics import median

import pytest

from recflow.domain.outliers import largest_usual

PRICES = [5.0, 8.0, 9.5, 10.0, 12.0, 14.0, 20.0]


def largest(values, mads):
    logarithms = [math.log(value) for value in values]
    middle = median(logarithms)
    return largest_usual(middle, median(abs(logarithm - middle) for logarithm in logarithms), mads)


def test_a_price_with_its_point_lost_is_an_outlier_and_the_dearest_real_one_is_not():
    assert 20 < largest([*PRICES, 1000.0], 10) < 1000


def test_a_few_wrong_prices_move_the_limit_little():
    assert largest([*PRICES, 1e9], 5) < 3 * largest(PRICES, 5)


@pytest.mark.parametrize("rate", [0.01, 7.8, 150.0])
def test_another_currency_changes_which_prices_are_outliers_by_its_rate_alone(rate):
    assert largest([price * rate for price in PRICES], 5) == pytest.approx(rate * largest(PRICES, 5))


def test_where_half_of_the_prices_are_equal_or_the_limit_is_beyond_numbers_none_is_an_outlier():
    assert largest([5.0, 5.0, 5.0, 900.0], 3) == math.inf
    assert largest_usual(700.0, 50.0, 100) == math.inf
