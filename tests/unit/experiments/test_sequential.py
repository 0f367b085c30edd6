import math

import numpy as np
import pytest
from gbstats.frequentist import tests as gbstats
from gbstats.models import statistics
from scipy import stats

from recflow.experiments.ratio import contrast, estimate, winsorise
from recflow.experiments.sample_ratio import mismatch_p_value
from recflow.experiments.sequential import Sequence


def totals(seed, users, rate):
    random = np.random.default_rng(seed)
    searches = random.integers(1, 6, users).astype(float)
    return random.binomial(searches.astype(int), rate).astype(float), searches


def test_the_two_sided_bound_equals_an_independent_implementation():
    arms = [totals(1, 800, 0.3), totals(2, 750, 0.33)]
    theirs = [
        statistics.RatioStatistic(
            n=len(clicks),
            m_statistic=statistics.SampleMeanStatistic(n=len(clicks), sum=clicks.sum(), sum_squares=(clicks**2).sum()),
            d_statistic=statistics.SampleMeanStatistic(n=len(clicks), sum=shown.sum(), sum_squares=(shown**2).sum()),
            m_d_sum_of_products=(clicks * shown).sum(),
        )
        for clicks, shown in arms
    ]
    config = gbstats.SequentialConfig(difference_type="absolute", alpha=0.05, sequential_tuning_parameter=3000)
    low, high = gbstats.SequentialTwoSidedTTest(*theirs, config).compute_result().ci
    control, treatment = (estimate(*arm) for arm in arms)
    ours = contrast(treatment, control)
    half = Sequence(0.05, 3000).half_width(ours.users, ours.standard_error)
    assert (ours.difference - half, ours.difference + half) == pytest.approx((low, high), rel=1e-6)


def test_the_one_sided_bound_is_narrower_than_the_two_sided_one():
    sequence = Sequence(0.05, 5000)
    assert sequence.margin(5000, 0.01) < sequence.half_width(5000, 0.01)


def test_a_bound_that_holds_at_every_look_is_wider_than_one_that_holds_once():
    assert Sequence(0.05, 5000).half_width(5000, 0.01) > 1.96 * 0.01


def test_the_bound_is_tightest_near_the_planned_number_of_users():
    widths = {planned: Sequence(0.05, planned).half_width(2000, 0.01) for planned in (20, 2000, 200_000)}
    assert min(widths, key=widths.get) == 2000


def test_a_ratio_has_the_standard_error_that_repeated_draws_show():
    values = [estimate(*totals(seed, 400, 0.2)) for seed in range(400)]
    seen = np.std([value.value for value in values])
    assert math.sqrt(np.mean([value.variance for value in values])) == pytest.approx(seen, rel=0.1)


def test_nothing_shown_gives_no_certainty():
    assert estimate(np.zeros(1), np.zeros(1)).variance == math.inf


def test_revenue_is_cut_at_a_quantile_of_the_buyers_and_not_of_everybody():
    treatment, control = np.zeros(1000), np.zeros(1000)
    treatment[:3], control[:3] = (10, 20, 9000), (10, 20, 30)
    cut, other = winsorise(treatment, control, 0.8)
    assert cut.max() == 30
    assert other.sum() == 60


def test_arms_of_equal_size_match_and_unequal_ones_do_not():
    assert mismatch_p_value(500, 505) > 0.5
    assert mismatch_p_value(600, 400) < 0.001
    assert mismatch_p_value(0, 0) == 1


def test_the_mismatch_is_the_chi_square_test():
    assert mismatch_p_value(530, 470) == pytest.approx(stats.chisquare([530, 470]).pvalue)
