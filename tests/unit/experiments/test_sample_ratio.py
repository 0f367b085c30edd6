import numpy as np

from recflow.experiments.sample_ratio import mismatch_p_value


def test_arms_of_equal_size_match_and_unequal_ones_do_not():
    assert mismatch_p_value(500, 505) == 1
    assert mismatch_p_value(600, 400) < 0.001
    assert mismatch_p_value(0, 0) == 1


def test_a_few_in_a_hundred_are_found_when_many_have_come():
    assert mismatch_p_value(10_400, 9_600) < 0.001


def test_looking_at_sound_arms_after_each_user_holds_hardly_any_experiment():
    """A chi-square test at p < 0.01, looked at as often, holds more than one in ten of them."""
    treated = np.random.default_rng(1).random((100, 1000)) < 0.5
    smallest = [
        min(mismatch_p_value(int(seen), users - int(seen)) for users, seen in enumerate(arms.cumsum(), start=1))
        for arms in treated
    ]
    assert np.mean(np.array(smallest) < 0.01) <= 0.01
