"""Real gateway processes with a real store, ledger and event log, and a double of the model server's client."""

import asyncio
import signal
import time
from collections import defaultdict
from http.client import HTTPConnection

import httpx
import psutil
import pytest

from fakes.gateway_process import Load, Place, running_gateway
from fakes.gateway_world import RECIPE, ask
from recflow.artifacts.ledger import ReleaseState


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.adopt("v1")
    return place


def test_kill_9_loses_no_acknowledged_exposure_with_the_scorer_double(place):
    with running_gateway(place) as gateway, Load(gateway.url) as load:
        load.wait_for(300)
        gateway.kill()
    answered = {answer["request_id"] for _, answer in load.answers}
    assert len(answered) >= 300
    assert answered <= set(place.exposures()["request_id"].to_pylist())
    assert place.events.compact() >= len(answered)
    assert place.events.torn <= 1
    assert answered <= set(place.exposures()["request_id"].to_pylist())


def test_a_gateway_starts_again_after_kill_9_and_goes_on_with_the_scorer_double(place):
    with running_gateway(place) as gateway, Load(gateway.url) as load:
        load.wait_for(20)
        gateway.kill()
    with running_gateway(place) as gateway, Load(gateway.url) as again:
        again.wait_for(20)
    answered = {answer["request_id"] for _, answer in [*load.answers, *again.answers]}
    assert answered <= set(place.exposures()["request_id"].to_pylist())
    assert not again.others


def test_two_workers_share_the_events_and_either_takes_any_outcome_with_the_scorer_double(place):
    with running_gateway(place, workers=2) as gateway:
        place.wait_for_gateways(1, 2)
        posted = set()
        for number in range(40):
            # A connection each, so that the kernel deals them to both workers.
            answer = httpx.post(f"{gateway.url}/v1/{RECIPE}/rank", json=ask(user_id=f"u-{number}"), timeout=60).json()
            act = {"request_id": answer["request_id"], "user_id": f"u-{number}", "kind": "click", "item_id": "a"}
            posted.add(httpx.post(f"{gateway.url}/v1/outcomes", json=act, timeout=60).json()["outcome_id"])
    assert place.exposures().num_rows == 40
    assert set(place.outcomes()["outcome_id"].to_pylist()) == posted
    assert gateway.process.returncode == 0


def test_a_worker_that_is_killed_is_replaced_by_one_that_takes_its_place_with_the_scorer_double(place):
    with running_gateway(place, workers=2) as gateway:
        place.wait_for_gateways(1, 2)
        first = set(place.router.acknowledged(RECIPE, 1).live)
        children = psutil.Process(gateway.process.pid).children()
        next(child for child in children if "spawn_main" in str(child.cmdline())).kill()
        # Bounded by the test's own time limit; by then the killed worker's lease may have run out or not.
        while set(place.router.acknowledged(RECIPE, 1).live) <= first:
            time.sleep(0.1)
        assert httpx.get(f"{gateway.url}/readyz", timeout=60).is_success


def test_sigterm_answers_every_request_that_was_accepted_with_the_scorer_double(place):
    async def send(url):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            running = [asyncio.create_task(client.post(f"/v1/{RECIPE}/rank", json=ask())) for _ in range(20)]
            metrics = ""
            while "in_flight 20.0" not in metrics:
                metrics = (await client.get("/metrics")).text
            gateway.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*running)

    with running_gateway(place, wait_s=3) as gateway:
        answers = asyncio.run(send(gateway.url))
        gateway.process.wait(60)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert place.exposures().num_rows == 20
    assert place.router.acknowledged(RECIPE, 1).live == ()


def test_routes_switch_from_shadow_to_stable_under_load_without_a_failed_request_with_the_scorer_double(place):
    stages = (
        ReleaseState.SHADOW,
        ReleaseState.CANARY,
        ReleaseState.JUDGING,
        ReleaseState.PROMOTING,
        ReleaseState.STABLE,
    )
    with running_gateway(place, workers=2) as gateway, Load(gateway.url, users=16) as load:
        place.open_release("v2")
        for stage in stages:
            epoch = place.move(stage)
            place.wait_for_gateways(epoch, 2)
            load.wait_for_each_user()
        before = len(load.answers)
        load.wait_for(40)
    assert not load.others
    assert {answer["fallback"] for _, answer in load.answers} == {""}
    # The answers of the last epoch alone: those on their way when it came were over before it was acknowledged.
    assert {answer["version"] for _, answer in load.answers[before:]} == {"v2"}
    seen_by_user = defaultdict(set)
    for row in place.exposures().to_pylist():
        if row["experiment"] == "rel-2:judging":
            seen_by_user[row["user_key"]].add((row["arm"], row["served_version"]))
    assert len(seen_by_user) == 16
    assert all(len(seen) == 1 for seen in seen_by_user.values())


def test_a_kill_switch_reaches_every_worker_before_it_is_acknowledged_with_the_scorer_double(place):
    place.open_release("v2")
    with running_gateway(place, workers=2) as gateway, Load(gateway.url, users=16) as load:
        place.move(ReleaseState.SHADOW)
        place.wait_for_gateways(place.move(ReleaseState.JUDGING), 2)
        load.wait_for(100)
        place.wait_for_gateways(place.move(ReleaseState.ROLLING_BACK), 2)
        before = len(load.answers)
        load.wait_for(100)
    assert "v2" in {answer["version"] for _, answer in load.answers[:before]}
    assert {answer["version"] for _, answer in load.answers[before + 16 :]} == {"v1"}
    assert not load.others


def test_oversized_bodies_are_refused_over_a_real_connection_that_stays_usable_with_the_scorer_double(place):
    def endless():
        for _ in range(2000):
            yield b" " * 1024

    with running_gateway(place) as gateway, httpx.Client(base_url=gateway.url, timeout=60) as client:
        path = f"/v1/{RECIPE}/rank"
        many = ask(items=[{"id": str(number), "title": "red shoes"} for number in range(10_000)])
        refused = [client.post(path, json=ask(query="x" * 10**6)), client.post(path, json=many)]
        refused += [client.post(path, content=endless())]
        good = client.post(path, json=ask())
    assert [answer.status_code for answer in refused] == [413] * 3
    assert [answer.json()["code"] for answer in refused] == ["body_too_large"] * 3
    assert good.status_code == 200


def test_a_connection_that_was_idle_for_longer_than_uvicorn_keeps_one_is_still_open_with_the_scorer_double(place):
    with running_gateway(place) as gateway:
        connection = HTTPConnection(gateway.url.removeprefix("http://"), timeout=60)
        connection.connect()
        connection.auto_open = False
        for _ in range(2):
            connection.request("GET", "/readyz")
            with connection.getresponse() as answer:
                assert (answer.status, b"ready" in answer.read()) == (200, True)
            time.sleep(7)
        connection.close()
