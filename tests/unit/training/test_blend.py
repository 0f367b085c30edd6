import numpy as np
import pytest

from recflow.errors import BadData
from recflow.training.blend import fit_blend


def judged(queries, seed=0, noise=0.1):
    """Queries whose grades follow feature 0, and a little the negative of feature 1; feature 2 is noise."""
    chance = np.random.default_rng(seed)
    features = [chance.random((8, 3)) for _ in range(queries)]
    grades = [np.rint(3 * (f[:, 0] - 0.4 * f[:, 1] + noise * chance.random(8)).clip(0, 1)) for f in features]
    return features, grades, [np.ones(8) for _ in range(queries)]


def test_the_weights_find_what_the_grades_follow():
    weights = fit_blend(*judged(80))
    assert weights[0] > 0 > weights[1]
    assert abs(weights[2]) < 0.1 < abs(weights[1]) < weights[0]


def test_absolute_weights_sum_to_one():
    assert np.abs(fit_blend(*judged(20))).sum() == pytest.approx(1)


def test_the_same_rows_give_the_same_weights():
    assert np.array_equal(fit_blend(*judged(20)), fit_blend(*judged(20)))


def test_a_constant_feature_gets_no_weight():
    features, grades, weights = judged(20)
    fitted = fit_blend([np.hstack([f, np.ones((8, 1))]) for f in features], grades, weights)
    assert fitted[3] == pytest.approx(0, abs=1e-6)


def test_queries_whose_items_are_all_equal_are_bad_data():
    features, grades, weights = judged(5)
    with pytest.raises(BadData, match="different grades"):
        fit_blend(features, [g * 0 for g in grades], weights)
