from datetime import timedelta

import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.fake_metrics import FakeMetrics
from fakes.sample_events import NOON, RECIPE, exposure
from recflow.artifacts.events import Arm, Fallback
from recflow.clients.event_log import DuckEventLog
from recflow.clients.metrics import EventLogMetrics
from recflow.protocols import TrafficReading

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
