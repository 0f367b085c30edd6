from datetime import timedelta

import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.fake_metrics import FakeMetrics
from fakes.sample_events import NOON, RECIPE, exposure, outcome
from recflow.artifacts.events import Arm, Fallback
from recflow.clients.event_log import DuckEventLog
from recflow.clients.metrics import EventLogMetrics
from recflow.protocols import Activity, OutcomeReading, TrafficReading, TrafficShares

MINUTE = timedelta(minutes=1)
WINDOW = {"start": NOON, "end": NOON + 5 * MINUTE}


@pytest.fixture(params=["event log", "double"])
def world(request, tmp_path):
    if request.param == "double":
        events = FakeEventLog()
        yield events, FakeMetrics(events)
        return
    events = DuckEventLog(tmp_path, FakeClock(NOON))
    yield events, EventLogMetrics(events, FakeClock(NOON + 10 * MINUTE))
    events.close()


@pytest.fixture
def events(world):
    return world[0]


@pytest.fixture
def metrics(world):
    return world[1]


def test_without_requests_there_are_no_times(metrics):
    assert metrics.traffic(RECIPE, version="v1", experiment="", **WINDOW) == TrafficReading(0, 0, None)
    assert metrics.newest_event(RECIPE) is None


def test_requests_count_for_the_assigned_version_whatever_served(events, metrics):
    failed = {"assigned_version": "v2", "served_version": "v1", "fallback": Fallback.ERROR}
    events.append("w", [exposure("r-1"), exposure("r-2", assigned_version="v2"), exposure("r-3", **failed)])
    assert metrics.traffic(RECIPE, version="v2", experiment="", **WINDOW) == TrafficReading(2, 1, 12.5)


def test_an_experiment_is_read_by_itself(events, metrics):
    inside = {"experiment": "rel-1:judging", "arm": Arm.CONTROL}
    events.append("w", [exposure("r-1"), exposure("r-2", **inside), exposure("r-3", experiment="rel-1:canary_0")])
    assert metrics.traffic(RECIPE, version="v1", experiment="rel-1:judging", **WINDOW).requests == 1


def test_the_window_is_half_open(events, metrics):
    for minute in (-1, 0, 4, 5):
        events.append("w", [exposure(f"r-{minute}", at=NOON + minute * MINUTE)])
    assert metrics.traffic(RECIPE, version="v1", experiment="", **WINDOW).requests == 2


def test_answers_under_stale_routes_are_no_fault_of_the_version(events, metrics):
    reasons = (Fallback.STALE_ROUTES, Fallback.TIMEOUT, Fallback.UNAVAILABLE)
    events.append("w", [exposure(reason, fallback=reason) for reason in reasons])
    reading = metrics.traffic(RECIPE, version="v1", experiment="", **WINDOW)
    assert (reading.requests, reading.errors) == (3, 2)


def test_an_experiment_leaves_answers_under_stale_routes_out(events, metrics):
    inside = {"experiment": "rel-1:judging", "arm": Arm.CONTROL}
    reasons = (Fallback.NONE, Fallback.STALE_ROUTES, Fallback.TIMEOUT)
    events.append("w", [exposure(f"r-{reason}", fallback=reason, **inside) for reason in reasons])
    reading = metrics.traffic(RECIPE, version="v1", experiment="rel-1:judging", **WINDOW)
    assert (reading.requests, reading.errors) == (2, 1)


def test_p95_is_interpolated(events, metrics):
    events.append("w", [exposure(f"r-{ms}", latency_ms=ms) for ms in (10, 20, 30)])
    assert metrics.traffic(RECIPE, version="v1", experiment="", **WINDOW).p95_ms == pytest.approx(29)


def test_the_newest_event_is_found_however_quiet_it_was(events, metrics):
    events.append("w", [exposure("r-1", at=NOON - timedelta(days=3)), exposure("r-2", at=NOON - timedelta(days=2))])
    assert metrics.newest_event(RECIPE) == NOON - timedelta(days=2)


def test_acts_are_counted_apart_from_those_that_belong_to_no_answer(events, metrics):
    events.append("w", [exposure("r-1"), exposure("bot", marked="bot")])
    lost = [outcome(f"lost-{number}", item_id=f"never-{number}") for number in range(3)]
    forged = [outcome("o-2", request_id="r-9"), outcome("o-3", user_key="user-2"), outcome("o-4", request_id="bot")]
    events.append("w", [outcome("o-1"), outcome("late", at=NOON + 9 * MINUTE), *lost, *forged])
    found = {"not_shown": 3, "unknown_request": 1, "other_user": 1}
    assert metrics.outcomes(RECIPE, **WINDOW) == OutcomeReading(1, found)


def test_an_act_counts_in_the_window_of_the_act_on_an_answer_from_before(events, metrics):
    events.append("w", [exposure("r-1", at=NOON - 60 * MINUTE), outcome("o-1")])
    assert metrics.outcomes(RECIPE, **WINDOW) == OutcomeReading(1, {})


def test_the_shares_of_arms_count_users_and_how_uneven_they_are(events, metrics):
    treated = {"experiment": "rel-1:judging", "arm": Arm.TREATMENT}
    events.append("w", [exposure(f"a-{number}", user_key="a", **treated) for number in range(3)])
    events.append(
        "w", [exposure("b-1", user_key="b", **treated), exposure("c-1", user_key="c"), exposure("c-2", user_key="c")]
    )
    left_out = [exposure("bot", marked="bot", **treated), exposure("old", experiment="rel-1:canary_0", arm=Arm.CONTROL)]
    events.append("w", left_out)
    assert metrics.shares(RECIPE, experiment="rel-1:judging", **WINDOW) == TrafficShares(
        users={Arm.TREATMENT: 2, Arm.STABLE: 1},
        requests={Arm.TREATMENT: 4, Arm.STABLE: 2},
        squares={Arm.TREATMENT: 10.0, Arm.STABLE: 4.0},
        heaviest=(("a", 3), ("c", 2), ("b", 1)),
    )


def test_without_requests_there_are_no_shares_and_no_acts(metrics):
    assert metrics.shares(RECIPE, experiment="rel-1:judging", **WINDOW) == TrafficShares({}, {}, {}, ())
    assert metrics.outcomes(RECIPE, **WINDOW) == OutcomeReading(0, {})


def test_who_came_is_told_by_version_and_minute(events, metrics):
    asked = [
        ("r-1", 0, "v1", "a"),
        ("r-2", 0, "v1", "a"),
        ("r-3", 2, "v1", "b"),
        ("r-4", 2, "v2", "c"),
        ("r-5", 3, "v3", "d"),
    ]
    events.append(
        "w",
        [
            exposure(name, at=NOON + minute * MINUTE, assigned_version=version, user_key=user)
            for name, minute, version, user in asked
        ],
    )
    seen = metrics.activity(RECIPE, versions=("v1", "v2"), experiments=("",), **WINDOW)
    assert seen == Activity(users={"v1": 2, "v2": 1}, busy_s=120)


def test_slots_of_an_hour_count_hours_in_which_somebody_came(events, metrics):
    events.append("w", [exposure(f"r-{hour}", at=NOON + hour * timedelta(hours=1)) for hour in (0, 3)])
    window = {"start": NOON, "end": NOON + timedelta(hours=3.5)}
    seen = metrics.activity(RECIPE, versions=("v1",), experiments=("",), **window, slot_s=3600)
    assert seen.busy_s == 3600 + 1800


def test_the_last_minute_of_a_window_counts_as_far_as_it_reaches(events, metrics):
    events.append("w", [exposure("r-1", at=NOON + 1.1 * MINUTE)])
    seen = metrics.activity(RECIPE, versions=("v1",), experiments=("",), start=NOON, end=NOON + timedelta(seconds=90))
    assert seen == Activity(users={"v1": 1}, busy_s=30)


def test_requests_of_other_experiments_and_under_stale_routes_are_nobodys(events, metrics):
    events.append("w", [exposure("r-1", experiment="rel-1:canary_0"), exposure("r-2", fallback=Fallback.STALE_ROUTES)])
    assert metrics.activity(RECIPE, versions=("v1",), experiments=("",), **WINDOW) == Activity({}, 0)


def test_a_window_that_ends_before_it_starts_holds_nobody(events, metrics):
    events.append("w", [exposure("r-1")])
    assert metrics.activity(RECIPE, versions=("v1",), experiments=("",), start=NOON, end=NOON - MINUTE) == Activity(
        {}, 0
    )
    assert metrics.traffic(RECIPE, version="v1", experiment="", start=NOON, end=NOON - MINUTE).requests == 0
