"""Shadow through real gateway processes, with a real ledger and event log and a double of the model server's client."""

import time
from types import SimpleNamespace

import httpx
import pytest

from fakes.fake_notifier import FakeNotifier
from fakes.fake_registry import FakeRegistry
from fakes.fake_server import FakeModelServer
from fakes.gateway_process import Place, running_gateway
from fakes.gateway_world import BROWSER, RECIPE, ask
from recflow.artifacts.ledger import ReleaseState
from recflow.artifacts.plans import HealthLimits, Plan, ShadowPlan
from recflow.clients.clock import SystemClock
from recflow.clients.metrics import EventLogMetrics
from recflow.config.recipe import Recipe
from recflow.rollout import operations
from recflow.rollout.differences import read_differences
from recflow.rollout.machine import advance
from recflow.storage import ArtifactStore
from recflow.tasks.registry import find_task

S = ReleaseState
ITEMS = [{"id": f"i-{number}", "title": "shoes"} for number in range(12)]
# Two busy cores are shared with other tests: nobody is judged by latency here.
PLAN = Plan(shadow=ShadowPlan(min_seconds=0, min_requests=80), health=HealthLimits(max_p95_ms=60_000))


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.adopt("v1")
    return place


@pytest.fixture
def step(place, tmp_path):
    """Does the next due step of the release."""
    clock, server = SystemClock(), FakeModelServer()
    server.packages = {(RECIPE, version): tmp_path for version in ("v1", "v3")}
    services = SimpleNamespace(
        clock=clock, artifacts=ArtifactStore(place.store, tmp_path / "cache"), ledger=place.ledger, server=server,
        router=place.router, metrics=EventLogMetrics(place.events, clock), events=place.events,
        registry=FakeRegistry(), notifier=FakeNotifier(), task=find_task,
    )  # fmt: skip
    place.artifacts = services.artifacts
    return lambda: advance(Recipe(name=RECIPE, owner="tests"), services, judge=None)


def shop(gateway, queries):
    with httpx.Client(base_url=gateway.url, headers=BROWSER, timeout=60) as client:
        for number, query in enumerate(queries):
            body = ask(user_id=f"u-{number}", query=query, items=ITEMS)
            assert client.post(f"/v1/{RECIPE}/rank", json=body).json()["version"] == "v1"


def wait_for_comparisons(place, count):
    """Requests are mirrored after their answers; bounded by the test's own time limit."""
    start = place.ledger.head(RECIPE).state.release.entered_at
    while place.events.comparisons(RECIPE, start, SystemClock().now()).num_rows < count:
        time.sleep(0.1)


def test_a_fault_that_only_some_queries_show_is_held_before_a_shopper_sees_it_with_the_scorer_double(place, step):
    queries = [f"{season} shoes {number}" for number in range(50) for season in ("summer", "winter")]
    place.open_release("v3", PLAN)
    with running_gateway(place, workers=2) as gateway:
        place.wait_for_gateways(place.move(S.SHADOW), 2)
        shop(gateway, queries)
        wait_for_comparisons(place, len(queries))
        release = step().state.release
        assert release.state is S.HELD
        assert "tau is 0.00 over 100 requests (limit 0.30)" in release.reason
        found = read_differences(RECIPE, place.ledger, place.artifacts)
        assert len(found.requests) == 10
        assert all(request.query.startswith("winter") for request in found.requests)
        assert [item.item_id for item in found.requests[0].items] == [item["id"] for item in ITEMS]
        assert [item.shadow_position for item in found.requests[0].items] == list(range(12, 0, -1))
        operations.resume(RECIPE, place.ledger, person="ada", reason="winter is sold off")
        shop(gateway, queries)
        wait_for_comparisons(place, len(queries))
        assert step().state.release.state is S.CANARY
    assert {row["served_version"] for row in place.exposures().to_pylist() if row["items"]} == {"v1"}
