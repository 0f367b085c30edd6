import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.domain.outliers import Spread

PRICES = [8.0, 9.0, 10.0, 11.0, 12.5, 10.5, 9.5]


def test_a_price_in_cents_among_prices_is_an_outlier_and_a_dear_one_is_not():
    low, high = Spread.of([*PRICES, 1000.0]).usual(10)
    assert low < min(PRICES)
    assert 2 * max(PRICES) < high < 1000


def test_returns_are_judged_by_their_size_and_zeros_and_gaps_not_at_all():
    assert Spread.of([-price for price in PRICES]) == Spread.of([*PRICES, 0.0, None, math.nan, math.inf])


def test_where_most_amounts_are_equal_nothing_is_an_outlier():
    assert Spread.of([5.0, 5.0, 5.0, 900.0]).usual(3) == (0.0, math.inf)


def test_without_a_size_there_is_no_spread():
    assert Spread.of([0.0, None]) is None


@given(st.lists(st.integers(1, 1000), min_size=3, unique=True), st.floats(0.001, 1000))
def test_another_currency_moves_the_limits_with_the_amounts(prices, rate):
    low, high = Spread.of(prices).usual(5)
    other_low, other_high = Spread.of([price * rate for price in prices]).usual(5)
    assert other_low == pytest.approx(low * rate, rel=1e-6)
    assert other_high == pytest.approx(high * rate, rel=1e-6)


def test_a_limit_beyond_every_number_is_infinite():
    assert Spread(0.0, 100.0).usual(100) == (0.0, math.inf)
