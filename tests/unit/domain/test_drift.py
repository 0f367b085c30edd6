import math
from random import Random
from statistics import NormalDist, mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.domain.drift import (
    between_days,
    chance_divergence,
    departure,
    divergence,
    of_amount,
    of_count,
    of_ratio,
    of_share,
    plainly,
    spread,
    students,
)

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1).filter(lambda c: sum(c.values()))


def drawn(number, of=0.0, deviation=1.0, seed=3):
    dice = Random(seed)
    return [dice.gauss(of, deviation) for _ in range(number)]


@pytest.mark.parametrize("number", [5, 6, 9, 14, 28])
def test_the_spread_of_normal_values_is_their_standard_deviation_however_few(number):
    assert mean(spread(drawn(number, seed=seed)) for seed in range(400)) == pytest.approx(1, abs=0.06)


def test_a_few_days_that_were_far_off_hardly_widen_the_spread():
    good = drawn(28)
    assert spread([*good[:25], 50, 60, 70]) < 1.6 * spread(good)
    assert stdev([*good[:25], 50, 60, 70]) > 15


def test_quiet_weekends_are_no_spread():
    week = [value + (0 if number % 7 < 5 else -5) for number, value in enumerate(drawn(28, deviation=0.1))]
    assert spread(week) < 0.3


def test_one_day_has_no_spread():
    assert spread([4.0]) == spread([]) == 0


def test_what_chance_explains_is_no_spread_between_days():
    shares = [sum(Random(f"{day}-{n}").random() < 0.3 for n in range(400)) / 400 for day in range(28)]
    assert between_days([of_share(share, 400) for share in shares]) < 0.5 / 400


def far(today, past):
    return departure(today, past, [past]).score


def test_the_same_share_is_further_off_on_a_large_day():
    past = [of_share(0.10 + 0.002 * (day % 3), 10_000) for day in range(14)]
    assert far(of_share(0.2, 20), past) < 2
    assert far(of_share(0.2, 10_000), past) > 10


def test_a_large_day_is_not_far_off_by_what_days_differ_anyway():
    past = [of_share(share, 10**7) for share in (0.10, 0.12, 0.11, 0.09, 0.10, 0.13, 0.11, 0.10, 0.12)]
    assert far(of_share(0.13, 10**7), past) < 3


def test_the_nearer_of_last_days_and_same_weekdays_counts():
    busy, quiet = ([of_count(rows, rows) for rows in rows] for rows in ([1000, 1040, 960, 1010], [500, 510, 490]))
    today, past = of_count(505, 505), [*busy, *quiet]
    assert departure(today, past, [busy]).score > 3 > departure(today, past, [busy, quiet]).score
    assert plainly("log", departure(today, past, [busy, quiet]).usual) == pytest.approx(500.5)


def test_none_of_thirty_is_far_off_and_none_of_one_is_not():
    def clicks(number):
        return of_ratio(number, 30)

    assert far(clicks(0), [clicks(30 + day % 3) for day in range(14)]) > 8
    assert far(clicks(0), [clicks(1 + day % 2) for day in range(14)]) < 2


def test_amounts_that_differ_much_may_be_more_on_a_day_of_few():
    past = [of_amount(math.log(50) + 0.01 * (day % 2), 1.0, 1000) for day in range(14)]
    assert far(of_amount(math.log(60), 1.0, 20), past) < 2 < far(of_amount(math.log(90), 1.0, 1000), past)
    assert plainly("log", past[0].size) == pytest.approx(50)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_is_read_as_it_was(share):
    assert plainly("share", of_share(share, 10).size) == pytest.approx(share)


@given(COUNTS, COUNTS)
def test_a_divergence_is_the_same_both_ways_and_at_most_log_two(one, other):
    assert divergence(one, other) == pytest.approx(divergence(other, one), abs=1e-12)
    assert 0 <= divergence(one, other) <= math.log(2) + 1e-12


def test_a_divergence_is_nothing_for_equal_shares_and_log_two_for_nothing_in_common():
    assert divergence({"a": 1, "b": 3}, {"a": 10, "b": 30}) == pytest.approx(0, abs=1e-12)
    assert divergence({"a": 5}, {"b": 7}) == pytest.approx(math.log(2))


def test_the_divergence_of_two_samples_of_one_distribution_is_that_of_chance():
    def sample(seed, size):
        cells = Random(seed).choices("abcdefgh", weights=range(1, 9), k=size)
        return {cell: cells.count(cell) for cell in set(cells)}

    seen = mean(divergence(sample(f"a{n}", 200), sample(f"b{n}", 1000)) for n in range(200))
    assert seen == pytest.approx(chance_divergence(8, 200, 1000), rel=0.1)


@pytest.mark.parametrize(("days", "quantile"), [(7, 4.904), (14, 3.694), (28, 3.303)])
def test_few_days_widen_the_distance_as_students_t_does(days, quantile):
    """Quantiles of Student's t with days - 1 degrees for the share beyond three deviations, from tables."""
    assert NormalDist().cdf(3) == pytest.approx(0.99865, abs=1e-5)
    assert students(3, days) == pytest.approx(quantile, rel=0.01)
