"""What is refused, with which status and code; and what the gateway says of itself."""

import asyncio
import json

import pytest

from fakes.gateway_world import RECIPE, STABLE, act, ask, refused
from fakes.scripted_scorer import down

KIB = 1024


def items(count):
    return [{"id": str(number), "title": "red shoes"} for number in range(count)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (ask(items=items(201)), "too_many_items"),
        (ask(items=[]), "no_items"),
        (ask(items=[*items(2), items(1)[0]]), "duplicate_items"),
        (ask(query=""), "empty_query"),
        (ask(query=" \t\u200b\x00"), "empty_query"),
        (ask(query="x" * 513), "query_too_long"),
        (ask(user_id=""), "no_user"),
        (ask(user_id=None), "no_user"),
        (ask(user_id=None, anonymous_id=None), "no_user"),
        (ask(user_id="x" * 129), "invalid_field"),
        (ask(user_id="anonymous:u-1"), "invalid_field"),
        (ask(user_id="unidentified:1"), "invalid_field"),
        (ask(context={str(n): "x" for n in range(21)}), "invalid_field"),
        (ask(context={"x" * 41: "x"}), "invalid_field"),
        (ask(context={"page": "x" * 201}), "invalid_field"),
        (ask(context={"page": ["home"]}), "invalid_field"),
        (ask(items=[{"id": "", "title": "x"}]), "invalid_field"),
        (ask(items=[{"title": "x"}]), "invalid_field"),
        (ask(items="abc"), "invalid_field"),
        (ask(anonymus_id="typo"), "invalid_field"),
        (ask(marked="vip"), "invalid_field"),
        ({}, "invalid_field"),
        ([1, 2], "invalid_field"),
    ],
)
def test_wrong_content_is_422_with_a_code_and_nothing_is_recorded(world, body, code):
    assert refused(world.rank(content=json.dumps(body).encode())) == (422, code)
    assert world.events.records == []


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"\xff\xfe{}", b'{"query": "\xe4"}', b'{"query": "\\ud800"}', b"[" * 100_000, b'{"a": NaN'],
    ids=["cut off", "empty", "no UTF-8", "latin-1", "half a character", "nested", "not a number"],
)
def test_what_is_no_json_in_utf_8_is_422(world, content):
    assert refused(world.rank(content=content))[0] == 422


def test_what_was_sent_is_not_repeated_in_the_refusal(world):
    assert "private" not in world.rank(content=json.dumps(ask(query=["private"])).encode()).text


@pytest.mark.parametrize(
    "body",
    [ask(items=items(10_000)), ask(query="x" * 10**6), ask(items=[{"id": "a", "title": "x" * 10**6}])],
    ids=["10,000 items", "1 MB query", "1 MB title"],
)
def test_a_body_over_256_kib_is_413(world, body):
    assert refused(world.rank(content=json.dumps(body).encode())) == (413, "body_too_large")


async def endless(sent, chunks):
    for _ in range(chunks):
        sent.append(KIB)
        yield b" " * KIB


@pytest.mark.parametrize("headers", [{}, {"content-length": "10"}, {"content-length": "minus one"}])
def test_a_stream_is_cut_at_the_limit_whatever_its_length_is_said_to_be(world, headers):
    sent = []
    response = world.rank(content=endless(sent, 10_000), headers=headers)
    assert refused(response) == (413, "body_too_large")
    assert len(sent) <= 258


def test_the_limits_themselves_are_allowed(world):
    assert world.rank(ask(items=items(200), query="é" * 512)).status_code == 200
    assert len(world.exposures[0].items) == 200


def test_other_attributes_of_an_item_and_missing_texts_are_fine(world):
    given = [{"id": 1, "title": None, "price": 3}, {"id": "b", "description": "red"}]
    assert world.rank(ask(items=given)).status_code == 200


def test_more_requests_at_once_than_allowed_are_429_and_may_come_back(world):
    world.serving["max_in_flight"] = 2

    async def play():
        world.scorer.open = asyncio.Event()
        async with world.open() as client:
            running = [asyncio.create_task(client.post(f"/v1/{RECIPE}/rank", json=ask())) for _ in range(2)]
            for _ in running:
                await world.scorer.arrivals.get()
            third = await client.post(f"/v1/{RECIPE}/rank", json=ask())
            world.scorer.open.set()
            done = await asyncio.gather(*running)
            return third, [*done, await client.post(f"/v1/{RECIPE}/rank", json=ask())]

    third, others = asyncio.run(play())
    assert refused(third) == (429, "too_many_requests")
    assert third.headers["retry-after"] == "1"
    assert [other.status_code for other in others] == [200, 200, 200]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/ads/rank", (404, "unknown_route")),
        ("GET", "/v2", (404, "not_found")),
        ("GET", "/v1/outcomes", (405, "method_not_allowed")),
    ],
)
def test_unknown_places_are_refused_in_the_same_form(world, method, path, expected):
    assert refused(world.call(method, path)) == expected


def test_a_bug_of_ours_is_500_in_the_same_form(world):
    async def play():
        async with world.open() as client:
            world.gateway.instruments.answered = None
            return await client.post(f"/v1/{RECIPE}/rank", json=ask())

    assert refused(asyncio.run(play())) == (500, "internal_error")


def test_a_bug_in_the_log_still_answers_shoppers(world):
    world.events.append = None
    assert world.rank().status_code == 200


# -------------------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic secret", "bearer secret", "Bearer ", "Bearer sécret"])
def test_without_a_known_token_nothing_is_answered(world, header):
    world.tokens = ("secret", "second")
    headers = {"authorization": header.encode()} if header else {}
    response = world.rank(headers=headers)
    assert refused(response) == (401, "unauthorised")
    assert response.headers["www-authenticate"] == "Bearer"
    assert refused(world.call("POST", "/v1/outcomes", json={}, headers=headers))[0] == 401


def test_any_known_token_is_enough(world):
    world.tokens = ("secret", "second")
    assert world.rank(headers={"authorization": "Bearer second"}).status_code == 200


# ---------------------------------------------------------------------------------------------------------- a full log


def test_with_a_full_log_shoppers_are_answered_outcomes_refused_and_both_is_said(world):
    world.events.full = True

    async def play():
        async with world.open() as client:
            answer = await client.post(f"/v1/{RECIPE}/rank", json=ask())
            outcome = await client.post("/v1/outcomes", json=act())
            full = (await client.get("/readyz")).json(), (await client.get("/metrics")).text
            world.events.full = False
            again = await client.post("/v1/outcomes", json=act())
            return answer, outcome, full, again, (await client.get("/readyz")).json()

    answer, outcome, (ready, metrics), again, later = asyncio.run(play())
    assert answer.status_code == 200
    assert refused(outcome) == (503, "not_recorded")
    assert (ready["status"], len(ready["problems"])) == ("degraded", 1)
    assert "recflow_gateway_unlogged 2.0" in metrics
    assert (again.status_code, later["status"], later["problems"]) == (200, "ready", [])
    assert len(world.events.records) == 1


# --------------------------------------------------------------------------------------------------------- about itself


def test_it_is_alive_and_ready(world):
    assert world.call("GET", "/healthz").json()["status"] == "alive"
    told = world.call("GET", "/readyz").json()
    assert (told["status"], told["problems"]) == ("ready", [])


def test_it_is_not_ready_before_any_routes_were_read(world):
    world.router.down = True
    response = world.call("GET", "/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "starting")


def test_without_a_model_server_it_stays_in_rotation_and_says_so(world):
    world.scorer.versions["v1"] = down
    response = world.call("GET", "/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "answers are given without a model (lexical)" in response.json()["problems"][0]


def test_the_metrics_count_answers_by_version_arm_and_fallback_and_refusals_by_code(world):
    async def play():
        async with world.open() as client:
            await client.post(f"/v1/{RECIPE}/rank", json=ask())
            await client.post(f"/v1/{RECIPE}/rank", json=ask(query=""))
            await client.post("/v1/outcomes", json=act())
            return (await client.get("/metrics")).text

    text = asyncio.run(play())
    assert 'requests_total{arm="stable",fallback="",recipe="search_relevance",version="v1"} 1.0' in text
    assert 'refused_total{code="empty_query"} 1.0' in text
    assert 'outcomes_total{kind="click",recipe="search_relevance"} 1.0' in text
    assert f'epoch{{recipe="search_relevance"}} {float(STABLE.epoch)}' in text


def many(world, bodies, **kwargs):
    """Searches sent to one gateway; what its `/readyz` and `/metrics` say then."""

    async def play():
        async with world.open() as client:
            for body in bodies:
                await client.post(f"/v1/{RECIPE}/rank", json=body, **kwargs)
            return (await client.get("/readyz")).json()["problems"], (await client.get("/metrics")).text

    return asyncio.run(play())


def test_ids_of_nobody_are_told_with_their_share_and_without_anybodys_id(world):
    bodies = [ask(user_id="undefined" if number % 4 == 0 else f"person-{number}") for number in range(40)]
    problems, metrics = many(world, bodies)
    assert [problem.split(" had ")[0] for problem in problems] == ["search_relevance: 25% of the last 40 requests"]
    assert "person-" not in problems[0]
    assert 'ids_of_nobody_total{recipe="search_relevance"} 10.0' in metrics
    assert 'marked_total{marked="unidentified",recipe="search_relevance"} 10.0' in metrics


def test_a_word_for_a_missing_user_is_told_even_where_the_visitor_is_known(world):
    problems, metrics = many(world, [ask(user_id="guest", anonymous_id=f"cookie-{n}") for n in range(40)])
    assert "100% of the last 40" in problems[0]
    assert 'marked="unidentified"' not in metrics


def test_a_few_ids_of_nobody_are_counted_and_are_no_problem(world):
    problems, metrics = many(world, [ask(user_id="guest"), *[ask()] * 120])
    assert problems == []
    assert "ids_of_nobody_total{" in metrics


def test_two_gateways_in_one_process_count_apart(world):
    world.rank()
    assert "requests_total{" not in world.call("GET", "/metrics").text


def test_the_docs_page_loads_nothing_from_elsewhere(world):
    page = world.call("GET", "/docs")
    assert page.status_code == 200
    assert "/v1/{route}/rank" in page.text
    assert "src=" not in page.text
    assert "http" not in page.text


def test_the_interface_is_described_with_its_bodies(world):
    paths = world.call("GET", "/openapi.json").json()["paths"]
    schema = paths["/v1/{route}/rank"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["items"]["items"]["required"] == ["id"]
    assert schema["properties"]["context"]["maxProperties"] == 20
    assert {"type": "null"} in schema["properties"]["user_id"]["anyOf"]
    assert "$ref" not in json.dumps(paths["/v1/outcomes"])
