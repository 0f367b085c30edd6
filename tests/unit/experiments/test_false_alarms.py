"""The short seeded version of tests/proof/test_online_gate_error_rates.py."""

import numpy as np

from fakes.sequential_draws import course, draw, looks

RUNS, USERS = 150, 3000
# 50 expected clicks in an arm: 0.3 clicks a search, 2.2 searches a user, half of the users.
LOOKS = looks(160, USERS, 60)


def share(alarm, *, effect=0.0, factor=1.0):
    runs = (
        course(draw(seed, USERS, effect=effect), LOOKS, alpha=0.05, planned=USERS, factor=factor)
        for seed in range(RUNS)
    )
    return np.mean([bool(alarm(run)) for run in runs])


def test_looking_sixty_times_at_equal_arms_raises_few_false_alarms():
    assert share(lambda run: (abs(run.difference) > run.two_sided).any()) <= 0.05


def test_looking_sixty_times_with_a_test_made_for_one_look_raises_many():
    assert share(lambda run: (abs(run.difference) > 1.96 * run.error).any()) > 0.2


def test_a_candidate_that_is_worse_by_exactly_the_margin_is_rarely_promoted():
    assert share(lambda run: (run.difference - run.one_sided > 0).any(), effect=-0.1, factor=0.9) <= 0.05


def test_an_equal_candidate_is_rarely_rolled_back():
    assert share(lambda run: (run.difference + run.one_sided < 0).any()) <= 0.05


def test_a_clearly_worse_candidate_is_nearly_always_rolled_back():
    assert share(lambda run: (run.difference + run.one_sided < 0).any(), effect=-0.25) >= 0.9
