import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt

from fakes.made_evidence import made, planned, with_totals
from recflow.experiments.ratio import contrast, covariate_prediction, estimate, winsor_weights, winsorise
from recflow.experiments.rules import estimate_arms


def totals(seed, users, rate):
    random = np.random.default_rng(seed)
    searches = random.integers(1, 6, users).astype(float)
    return random.binomial(searches.astype(int), rate).astype(float), searches


def test_a_ratio_has_the_standard_error_that_repeated_draws_show():
    values = [estimate(*totals(seed, 400, 0.2)) for seed in range(400)]
    seen = np.std([value.value for value in values])
    assert math.sqrt(np.mean([value.variance for value in values])) == pytest.approx(seen, rel=0.1)


def test_nothing_shown_gives_no_certainty():
    assert estimate(np.zeros(1), np.zeros(1)).variance == math.inf


def test_the_adjusted_difference_equals_an_independent_implementation():
    """One covariate, the metric's own earlier residual, as tea-tasting has it for a ratio of means."""
    evidence = made(4000, effect=0.9)
    now, before = evidence.totals, evidence.before
    frame = pd.DataFrame(
        {"variant": evidence.treated.astype(int), "clicks": now["count:click"], "searches": now["searches"],
         "clicks_before": before["count:click"], "searches_before": before["searches"]}
    )  # fmt: skip
    metric = tt.RatioOfMeans(
        "clicks", "searches", numer_covariate="clicks_before", denom_covariate="searches_before", use_t=False
    )
    theirs = tt.Experiment(ctr=metric).analyze(frame)["ctr"]
    rate = before["count:click"].sum() / before["searches"].sum()
    residual = before["count:click"] - rate * before["searches"]
    predicted = covariate_prediction(now["count:click"], now["searches"], residual[:, None])
    treatment, control = (
        estimate(now["count:click"][arm], now["searches"][arm], predicted[arm])
        for arm in (evidence.treated, ~evidence.treated)
    )
    ours = contrast(treatment, control)
    low, high = ours.difference - 1.959964 * ours.standard_error, ours.difference + 1.959964 * ours.standard_error
    assert ours.difference == pytest.approx(theirs.effect_size, rel=0.02)
    assert (low, high) == pytest.approx((theirs.effect_size_ci_lower, theirs.effect_size_ci_upper), rel=0.02)
    assert treatment.value - control.value != pytest.approx(theirs.effect_size, rel=0.02)


def spread(evidence):
    pair = estimate_arms(planned(), evidence, "ctr")
    return contrast(pair.treatment, pair.control).standard_error


def test_what_users_did_before_sharpens_the_comparison():
    evidence = made(4000)
    assert spread(evidence) < 0.99 * spread(replace(evidence, before={}))


def test_one_program_of_before_takes_nothing_from_what_others_did():
    evidence = made(4000)
    searches = evidence.before["searches"].copy()
    searches[7] = 1e6
    beside = replace(evidence, before={**evidence.before, "searches": searches})
    assert spread(beside) == pytest.approx(spread(evidence), rel=1e-4)


@pytest.mark.parametrize(
    "before",
    [
        {},
        {"searches": np.zeros(2000)},
        {"searches": np.ones(2000), "count:click": np.ones(2000)},
        {"searches": np.full(2000, np.inf), "count:click": np.ones(2000)},
    ],
    ids=["none", "all are new", "constant", "infinite"],
)
def test_covariates_that_tell_nothing_change_nothing(before):
    evidence = replace(made(2000), before=before)
    pair = estimate_arms(planned(), evidence, "ctr")
    assert pair.finite
    assert pair.treatment.adjusted == pair.treatment.value


def test_a_covariate_told_twice_is_as_good_as_told_once():
    evidence = made(2000)
    clicks, searches = evidence.totals["count:click"], evidence.totals["searches"]
    once = covariate_prediction(clicks, searches, evidence.before["count:click"][:, None])
    twice = covariate_prediction(clicks, searches, np.column_stack([evidence.before["count:click"]] * 2))
    assert twice == pytest.approx(once)


def test_revenue_is_cut_at_a_quantile_of_the_buyers_and_not_of_everybody():
    cut = winsorise(np.array([10.0, 20, 9000, 10, 20, 30] + [0] * 2000), 0.8)
    assert cut.max() == 30
    assert cut.sum() == 120


def test_the_largest_of_few_is_cut_to_another_users_total():
    assert winsorise(np.array([0.0, 10, 20, 1e6]), 0.99).max() == 20


def test_a_unit_with_very_many_searches_keeps_its_ratio_and_weighs_no_more_than_others():
    searches = np.array([2.0] * 200 + [12_000])
    assert (winsor_weights(searches, 0.99) * searches)[-1] == 2


def test_quantile_one_cuts_nothing():
    assert winsorise(np.array([1.0, 1e6]), 1.0).max() == 1e6


def test_an_effect_on_everybody_is_not_hidden_by_the_cut():
    evidence = made(2000)
    fallen = with_totals(evidence, fallbacks=np.where(evidence.treated, evidence.totals["searches"], 0.0))
    assert estimate_arms(planned(), fallen, "fallback_rate").treatment.value > 0.9
