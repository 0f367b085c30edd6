import numpy as np
import pytest
from scipy.stats import multivariate_normal

from recflow.experiments.group_sequential import LOOKS, boundaries, look_users


@pytest.mark.parametrize("alpha", [0.05, 0.045, 0.01])
def test_over_all_looks_the_level_is_spent_and_no_more(alpha):
    """The chance of staying below every bound, by an integral that knows nothing of the recursion."""
    looks = np.arange(1, LOOKS + 1)
    correlation = np.sqrt(np.minimum.outer(looks, looks) / np.maximum.outer(looks, looks))
    below = multivariate_normal.cdf(np.array(boundaries(alpha)), cov=correlation, maxpts=2_000_000, rng=1)
    assert 1 - below == pytest.approx(alpha, rel=0.02)


def test_the_first_look_spends_next_to_nothing_and_the_last_little_more_than_a_single_look():
    first, *_, last = boundaries(0.05)
    assert first > 3
    assert 1.645 < last < 1.7


def test_the_last_look_is_at_the_planned_users():
    assert look_users(3200) == (640, 1280, 1920, 2560, 3200)
    assert look_users(11)[-1] == 11
