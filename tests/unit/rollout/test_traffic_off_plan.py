"""An arm's share of users and of requests against its plan: what chance does is let pass, one id for many is not."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.release_world import QUICK, ReleaseWorld
from recflow.artifacts.events import Arm
from recflow.artifacts.ledger import ReleaseState
from recflow.artifacts.plans import CanaryStep
from recflow.protocols import TrafficShares
from recflow.rollout.decide import traffic_off_plan

S = ReleaseState
ARMS = (Arm.TREATMENT, Arm.CONTROL, Arm.STABLE)
ONE_PERCENT = {Arm.TREATMENT: 0.01, Arm.CONTROL: 0.01, Arm.STABLE: 0.98}
FIVE_PERCENT = {Arm.TREATMENT: 0.05, Arm.CONTROL: 0.05, Arm.STABLE: 0.9}
HALVES = {Arm.TREATMENT: 0.5, Arm.CONTROL: 0.5}


def shares(requests, arms):
    """What is seen of users with these numbers of requests in these arms."""
    named = Counter({f"user-{number}": int(count) for number, count in enumerate(requests)})
    by_arm = {arm: requests[[its is arm for its in arms]] for arm in set(arms)}
    return TrafficShares(
        users={arm: len(counts) for arm, counts in by_arm.items()},
        requests={arm: int(counts.sum()) for arm, counts in by_arm.items()},
        squares={arm: float((counts**2).sum()) for arm, counts in by_arm.items()},
        heaviest=tuple(named.most_common(3)),
    )


def draw(dice, planned, users):
    return dice.choices(list(planned), list(planned.values()), k=users)


def one_id(share, arm, users=3000):
    """`share` of the requests come from one id in `arm`; everybody else is split as planned and searches once."""
    dice = random.Random(1)
    requests = np.array([1] * users + [round(users * share / (1 - share))])
    return shares(requests, [*draw(dice, ONE_PERCENT, users), arm])


def test_one_id_with_two_fifths_of_the_traffic_is_told_with_its_breakdown():
    reason = traffic_off_plan(ONE_PERCENT, one_id(0.4, Arm.TREATMENT))
    assert "treatment was to get 1.0% and got 40." in reason
    assert "of the requests, 1." in reason
    assert "control was to get 1.0%" in reason
    assert "stable was to get 98.0%" in reason
    assert "the heaviest alone: 40.0%" in reason


@pytest.mark.parametrize("arm", [Arm.TREATMENT, Arm.CONTROL])
def test_an_id_of_three_tenths_of_the_traffic_is_seen_in_either_arm(arm):
    assert traffic_off_plan(ONE_PERCENT, one_id(0.3, arm))


def test_too_few_requests_say_nothing():
    assert traffic_off_plan(ONE_PERCENT, one_id(0.4, Arm.TREATMENT, users=590)) == ""
    assert traffic_off_plan(ONE_PERCENT, one_id(0.4, Arm.TREATMENT, users=700))
    assert traffic_off_plan(ONE_PERCENT, TrafficShares({}, {}, {}, ())) == ""


def test_users_that_are_not_split_as_planned_are_seen_and_left_to_the_judge_where_it_tests_them():
    arms = [Arm.TREATMENT] * 8000 + [Arm.CONTROL] * 2000
    requests = np.array([1] * 8000 + [4] * 2000)
    assert "80.0% of the users" in traffic_off_plan(HALVES, shares(requests, arms))
    assert traffic_off_plan(HALVES, shares(requests, arms), with_users=False) == ""


def test_a_small_deviation_wakes_nobody_however_sure_it_is():
    seen = shares(np.ones(200_000), [Arm.TREATMENT] * 110_000 + [Arm.CONTROL] * 90_000)
    assert traffic_off_plan(HALVES, seen) == ""


@pytest.mark.parametrize(("planned", "seed"), [(ONE_PERCENT, 1), (FIVE_PERCENT, 2), (HALVES, 3)])
def test_heavy_tailed_shoppers_are_not_held_in_thousands_of_looks(planned, seed):
    numbers, arms = np.random.default_rng(seed), list(planned)
    weights = np.array(list(planned.values())) / sum(planned.values())
    for look in range(700):
        users = (1000, 2000, 4000)[look % 3]
        requests = np.ceil(numbers.lognormal(1.0, 1.5, users))
        drawn = numbers.choice(len(arms), users, p=weights)
        assert traffic_off_plan(planned, shares(requests, [arms[number] for number in drawn])) == ""


@given(
    st.lists(st.integers(0, 10_000), min_size=3, max_size=60),
    st.lists(st.sampled_from(ARMS), min_size=60, max_size=60),
)
def test_whatever_is_seen_there_is_an_answer_and_the_order_of_arms_is_nothing_to_it(requests, arms):
    seen = shares(np.array([*requests, 1000.0]), arms[: len(requests) + 1] + [Arm.STABLE] * (len(requests) - 59))
    backwards = dict(reversed(ONE_PERCENT.items()))
    assert bool(traffic_off_plan(ONE_PERCENT, seen)) == bool(traffic_off_plan(backwards, seen))


@given(st.floats(0.0, 0.9), st.floats(0.0, 0.09))
def test_more_of_the_traffic_in_one_id_is_never_less_suspicious(share, more):
    if traffic_off_plan(ONE_PERCENT, one_id(share, Arm.TREATMENT, 1500)):
        assert traffic_off_plan(ONE_PERCENT, one_id(share + more, Arm.TREATMENT, 1500))


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


@pytest.fixture
def world(tmp_path):
    world = ReleaseWorld(tmp_path)
    steps = (CanaryStep(percent=1, bake_seconds=300, min_requests=5),)
    world.recipe = world.recipe.model_copy(update={"rollout": QUICK.model_copy(update={"canary": steps})})
    world.stable(1)
    world.record(2)
    return world


def test_a_canary_of_one_percent_that_meets_two_fifths_of_the_traffic_is_held_at_the_first_look(world):
    world.play(at(S.CANARY))
    world.metrics.shared = one_id(0.4, Arm.TREATMENT, users=100)
    assert not world.advance().changed
    world.metrics.shared = one_id(0.4, Arm.TREATMENT)
    world.advance()
    assert world.state.release.state is S.HELD
    assert "treatment was to get 1.0% and got 40." in world.true_notifier.cards[-1].cause


def test_a_judging_half_that_gets_most_of_the_requests_is_held(world):
    world.play(at(S.JUDGING))
    requests = np.array([1.0] * 2000 + [3000.0])
    world.metrics.shared = shares(requests, [Arm.TREATMENT, Arm.CONTROL] * 1000 + [Arm.CONTROL])
    world.advance()
    assert world.state.release.state is S.HELD
    assert "treatment was to get 50.0% and got 20.0%" in world.state.release.reason


def test_a_canary_that_gets_what_it_was_to_get_goes_on(world):
    world.play(at(S.CANARY))
    world.metrics.shared = one_id(0.0, Arm.STABLE)
    world.play(at(S.JUDGING))
    assert "held" not in world.path
