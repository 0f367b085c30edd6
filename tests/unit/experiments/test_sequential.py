from dataclasses import replace

import pytest
from gbstats.frequentist import tests as gbstats
from gbstats.models import statistics

from fakes.made_evidence import made, planned
from recflow.experiments.ratio import contrast
from recflow.experiments.rules import estimate_arms
from recflow.experiments.sequential import ConfidenceSequence


def test_the_two_sided_bound_equals_an_independent_implementation():
    evidence = made(1600)
    clicks, searches = evidence.totals["count:click"], evidence.totals["searches"]
    theirs = [
        statistics.RatioStatistic(
            n=int(arm.sum()),
            m_statistic=_sums(clicks[arm]),
            d_statistic=_sums(searches[arm]),
            m_d_sum_of_products=(clicks * searches)[arm].sum(),
        )
        for arm in (~evidence.treated, evidence.treated)
    ]
    config = gbstats.SequentialConfig(difference_type="absolute", alpha=0.05, sequential_tuning_parameter=3000)
    low, high = gbstats.SequentialTwoSidedTTest(*theirs, config).compute_result().ci
    pair = estimate_arms(planned(winsorise_quantile=1), replace(evidence, before={}), "ctr")
    ours = contrast(pair.treatment, pair.control)
    half = ConfidenceSequence(0.05, 3000).half_width(ours.users, ours.standard_error)
    assert (ours.difference - half, ours.difference + half) == pytest.approx((low, high), rel=1e-6)


def _sums(totals):
    return statistics.SampleMeanStatistic(n=len(totals), sum=totals.sum(), sum_squares=(totals**2).sum())


def test_the_one_sided_bound_is_narrower_than_the_two_sided_one():
    sequence = ConfidenceSequence(0.05, 5000)
    assert sequence.margin(5000, 0.01) < sequence.half_width(5000, 0.01)


def test_a_bound_that_holds_at_every_look_is_wider_than_one_that_holds_once():
    assert ConfidenceSequence(0.05, 5000).half_width(5000, 0.01) > 1.96 * 0.01


def test_the_bound_is_tightest_near_the_planned_number_of_users():
    widths = {planned: ConfidenceSequence(0.05, planned).half_width(2000, 0.01) for planned in (20, 2000, 200_000)}
    assert min(widths, key=widths.get) == 2000
