"""What a shopper gets, from which version, and what is recorded of it."""

import asyncio
import itertools
from collections import Counter

import pytest

from fakes.gateway_world import ALL_TREATED, BROWSER, CANARY, HALVES, RECIPE, SHADOW, STABLE, ask
from fakes.scripted_scorer import blocking, broken, down, falling, malformed, no_numbers, too_few
from recflow.artifacts.events import Arm, Fallback
from recflow.domain.routes import RoutingTable


def ids(response):
    return [item["id"] for item in response.json()["items"]]


def test_items_come_back_ordered_with_scores_positions_version_and_arm(world):
    response = world.rank()
    assert response.status_code == 200
    told = response.json()
    assert told == {
        "request_id": world.exposures[0].request_id,
        "items": [
            {"id": "a", "score": 0.0, "position": 1},
            {"id": "b", "score": -1.0, "position": 2},
            {"id": "c", "score": -2.0, "position": 3},
        ],
        "version": "v1",
        "arm": "stable",
        "fallback": "",
    }


def test_the_exposure_says_who_was_shown_what_and_why(world):
    world.router.set(ALL_TREATED)
    world.rank()
    seen = world.exposures[0]
    assert (seen.user_key, seen.anonymous, seen.query, seen.epoch) == ("u-1", False, "red shoes", 5)
    assert (seen.arm, seen.experiment, seen.assigned_version, seen.served_version) == (
        Arm.TREATMENT,
        "rel-2:judging",
        "v2",
        "v2",
    )
    assert [(item.item_id, item.position) for item in seen.items] == [("c", 1), ("b", 2), ("a", 3)]
    assert seen.latency_ms > 0


def test_equal_scores_keep_the_order_of_the_request(world):
    world.scorer.versions["v1"] = lambda _, items: [1.0] * len(items)
    assert ids(world.rank()) == ["a", "b", "c"]


def test_an_anonymous_visitor_is_a_unit_that_no_user_can_be(world):
    world.rank(ask(user_id="", anonymous_id="u-1"))
    assert (world.exposures[0].user_key, world.exposures[0].anonymous) == ("anonymous:u-1", True)


def test_at_login_the_user_id_wins(world):
    world.rank(ask(user_id="u-1", anonymous_id="cookie"))
    assert (world.exposures[0].user_key, world.exposures[0].anonymous) == ("u-1", False)


def test_a_null_id_is_a_missing_one(world):
    assert world.rank(ask(user_id=None, anonymous_id="cookie")).status_code == 200
    assert world.rank(ask(anonymous_id=None)).status_code == 200
    assert [seen.user_key for seen in world.exposures] == ["anonymous:cookie", "u-1"]


def test_what_need_not_be_said_may_be_null(world):
    assert world.rank(ask(marked=None, context=None)).status_code == 200
    assert world.act(outcome_id=None, value=None).json() == world.act().json()


def test_the_exposure_keeps_what_the_shop_says_of_the_request_as_text(world):
    said = {"device": "phone", "page": 2, "price": 9.5, "logged_in": True, "campaign": None}
    assert world.rank(ask(context=said)).status_code == 200
    assert world.exposures[0].context == {"device": "phone", "page": "2", "price": "9.5", "logged_in": "true"}


def test_a_user_stays_in_one_arm_and_both_arms_fill_evenly(world):
    world.router.set(HALVES)

    async def many():
        async with world.open() as client:
            for _ in range(2):
                for number in range(60):
                    await client.post(f"/v1/{RECIPE}/rank", json=ask(user_id=f"u-{number}"))

    asyncio.run(many())
    arms = {(seen.user_key, seen.arm) for seen in world.exposures}
    assert len(arms) == 60
    assert 18 <= Counter(arm for _, arm in arms)[Arm.TREATMENT] <= 42


def test_outside_the_compared_ranges_nobody_is_in_the_experiment(world):
    world.router.set(CANARY)

    async def many():
        async with world.open() as client:
            for number in range(60):
                await client.post(f"/v1/{RECIPE}/rank", json=ask(user_id=f"u-{number}"))

    asyncio.run(many())
    assert {seen.experiment for seen in world.exposures if seen.arm is Arm.STABLE} == {""}
    assert {seen.experiment for seen in world.exposures if seen.arm is not Arm.STABLE} <= {"rel-2:canary_0"}


# ------------------------------------------------------------------------------------------------------------ fallback


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (down, Fallback.UNAVAILABLE),
        (broken, Fallback.ERROR),
        (too_few, Fallback.ERROR),
        (no_numbers, Fallback.ERROR),
        (malformed, Fallback.ERROR),
    ],
    ids=["no answer", "a bug", "a score too few", "no numbers", "malformed"],
)
def test_a_failing_candidate_is_answered_by_stable_and_stays_the_assigned_one(world, behaviour, reason):
    world.router.set(ALL_TREATED)
    world.scorer.versions["v2"] = behaviour
    response = world.rank()
    assert (response.json()["version"], response.json()["fallback"]) == ("v1", reason)
    seen = world.exposures[0]
    assert (seen.arm, seen.assigned_version, seen.served_version) == (Arm.TREATMENT, "v2", "v1")


def test_a_candidate_that_takes_too_long_is_cut_short(world):
    world.router.set(ALL_TREATED)
    world.serving["deadline_ms"] = 2000
    world.scorer.wait_s["v2"] = 3600
    assert world.rank().json()["fallback"] == "timeout"


def test_without_any_version_the_order_is_that_of_shared_words(world):
    world.scorer.versions["v1"] = down
    response = world.rank()
    assert (ids(response), response.json()["version"]) == (["c", "a", "b"], "lexical")
    assert world.exposures[0].fallback is Fallback.UNAVAILABLE


def test_when_time_is_up_before_the_first_attempt_words_decide(world):
    world.serving["deadline_ms"] = 10
    world.scorer.wait_s["v1"] = 3600
    response = world.rank()
    assert response.status_code in {200, 504}
    assert world.exposures[0].fallback is Fallback.TIMEOUT


def test_an_answer_after_the_deadline_is_504_and_counts_against_its_version(world):
    world.router.set(ALL_TREATED)
    world.serving["deadline_ms"] = 50
    world.scorer.versions["v2"] = blocking
    response = world.rank()
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    seen = world.exposures[0]
    assert (seen.assigned_version, seen.served_version, seen.items) == ("v2", "", ())
    assert seen.fallback is Fallback.TIMEOUT


def test_before_the_first_release_words_decide(world):
    world.router.tables.clear()
    assert world.rank().json()["version"] == "lexical"
    assert (world.exposures[0].epoch, world.exposures[0].assigned_version) == (0, "")


# -------------------------------------------------------------------------------------------- left out of experiments


def test_shoppers_whose_id_stands_for_nobody_are_answered_by_stable_outside_experiments_each_a_unit(world):
    world.router.set(ALL_TREATED)
    for who in ("guest", "guest", "undefined", 0):
        assert world.rank(ask(user_id=who, anonymous_id="null")).json()["version"] == "v1"
    assert {(seen.marked, seen.experiment, seen.anonymous) for seen in world.exposures} == {("unidentified", "", True)}
    assert len({seen.user_key for seen in world.exposures}) == 4


def test_a_visitor_is_that_visitor_whatever_word_stands_for_the_missing_user(world):
    world.router.set(ALL_TREATED)
    world.rank(ask(user_id="undefined", anonymous_id="cookie"))
    seen = world.exposures[0]
    assert (seen.user_key, seen.marked, seen.arm) == ("anonymous:cookie", "", Arm.TREATMENT)


def test_a_crawler_without_an_id_is_a_crawler(world):
    world.rank(ask(user_id="guest"), headers={"user-agent": "Googlebot/2.1"})
    assert world.exposures[0].marked == "bot"


@pytest.mark.parametrize(
    ("changes", "agent", "mark"),
    [
        ({"marked": "employee"}, "Mozilla/5.0", "employee"),
        ({"marked": "bot"}, "Mozilla/5.0", "bot"),
        ({}, "Mozilla/5.0 (compatible; Googlebot/2.1)", "bot"),
        ({}, "HeadlessChrome/120", "bot"),
    ],
)
def test_bots_and_employees_are_marked_and_see_stable(world, changes, agent, mark):
    world.router.set(ALL_TREATED)
    world.rank(ask(**changes), headers={"user-agent": agent})
    seen = world.exposures[0]
    assert (seen.marked, seen.experiment, seen.arm, seen.served_version) == (mark, "", Arm.STABLE, "v1")


def test_a_forced_version_is_marked(world):
    world.tokens = ("secret",)
    world.router.set(HALVES)
    headers = {"authorization": "Bearer secret", "x-recflow-version": "v2"}
    assert world.rank(headers=headers).json()["version"] == "v2"
    assert (world.exposures[0].marked, world.exposures[0].experiment) == ("forced", "")


def test_a_version_cannot_be_forced_without_a_token(world):
    response = world.rank(headers={"x-recflow-version": "v1"})
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def test_a_version_outside_the_routes_cannot_be_forced(world):
    world.tokens = ("secret",)
    response = world.rank(headers={"authorization": "Bearer secret", "x-recflow-version": "v9"})
    assert (response.status_code, response.json()["code"]) == (422, "unknown_version")


# -------------------------------------------------------------------------------------------------------------- shadow


def test_a_shadow_is_asked_after_the_answer_and_leaves_a_marked_exposure(world):
    world.router.set(SHADOW)
    assert world.rank().json()["version"] == "v1"
    shown, mirrored = world.exposures
    assert (shown.marked, shown.experiment) == ("", "")
    assert (mirrored.marked, mirrored.experiment) == ("shadow", "rel-2:shadow")
    assert (mirrored.assigned_version, mirrored.served_version, mirrored.items) == ("v2", "v2", ())
    assert mirrored.request_id == f"{shown.request_id}-shadow"


def test_a_failing_shadow_is_recorded_and_harms_nobody(world):
    world.router.set(SHADOW)
    world.scorer.versions["v2"] = broken
    assert world.rank().json()["fallback"] == ""
    assert (world.exposures[1].fallback, world.exposures[1].served_version) == (Fallback.ERROR, "")


def test_a_hanging_shadow_delays_no_answer_and_its_overflow_is_dropped_and_counted(world):
    world.router.set(SHADOW)
    world.scorer.wait_s["v2"] = 3600
    world.serving |= {"deadline_ms": 10_000}

    async def many():
        async with world.open() as client:
            answers = [await client.post(f"/v1/{RECIPE}/rank", json=ask()) for _ in range(70)]
            text = (await client.get("/metrics")).text
            world.scorer.wait_s["v2"] = 0
            world.gateway.shadow._queue = asyncio.Queue()
            return answers, text

    answers, text = asyncio.run(many())
    assert {answer.status_code for answer in answers} == {200}
    assert 'shadow_total{recipe="search_relevance",result="dropped",version="v2"} 5.0' in text


def test_the_metrics_tell_how_far_the_shadow_scores_differ(world):
    world.router.set(SHADOW)

    async def one():
        async with world.open() as client:
            await client.post(f"/v1/{RECIPE}/rank", json=ask())
            await world.gateway.shadow.settle()
            return (await client.get("/metrics")).text

    assert 'shadow_score_difference_sum{recipe="search_relevance",version="v2"} 2.0' in asyncio.run(one())


def test_both_orders_of_a_mirrored_request_are_kept_and_how_far_they_agree(world):
    world.router.set(SHADOW)
    shown = world.rank().json()
    [found] = world.comparisons
    assert [(item.item_id, item.shadow_position) for item in found.items] == [("a", 3), ("b", 2), ("c", 1)]
    assert [item["id"] for item in shown["items"]] == ["a", "b", "c"]
    assert [(item.score, item.shadow_score) for item in found.items] == [(0, 0), (-1, 1), (-2, 2)]
    assert (found.tau, found.overlap, found.score_difference, found.length) == (-1, None, 2, 3)
    assert (found.experiment, found.shown_version, found.shadow_version) == ("rel-2:shadow", "v1", "v2")
    assert (found.user_key, found.query) == (world.exposures[0].user_key, "red shoes")


def test_a_list_of_one_item_is_kept_as_one_that_cannot_be_compared(world):
    world.router.set(SHADOW)
    world.rank(ask(items=[{"id": "a", "title": "red hat"}]))
    assert [(found.length, found.tau) for found in world.comparisons] == [(1, None)]


def test_a_shadow_that_crashes_on_every_tenth_request_is_compared_on_the_others_alone(world):
    asked = itertools.count(1)

    def crashing(query, items):
        return broken(query, items) if next(asked) % 10 == 0 else falling(query, items)

    world.router.set(SHADOW)
    world.scorer.versions["v2"] = crashing

    async def many():
        async with world.open() as client:
            for number in range(40):
                await client.post(f"/v1/{RECIPE}/rank", json=ask(user_id=f"u-{number}"))

    asyncio.run(many())
    mirrored = [exposure for exposure in world.exposures if exposure.marked == "shadow"]
    assert Counter(exposure.fallback for exposure in mirrored) == {Fallback.NONE: 36, Fallback.ERROR: 4}
    assert [found.tau for found in world.comparisons] == [1.0] * 36
    answered = {exposure.request_id for exposure in mirrored if not exposure.fallback}
    assert {found.request_id for found in world.comparisons} == answered


@pytest.mark.parametrize("agent", ["Googlebot/2.1", BROWSER["user-agent"]])
def test_what_no_shopper_was_shown_by_stable_is_mirrored_and_not_compared(world, agent):
    world.router.set(SHADOW)
    world.scorer.versions["v1"] = falling if "bot" in agent else broken
    world.rank(headers={"user-agent": agent})
    assert world.exposures[1].marked == "shadow"
    assert world.comparisons == []


# --------------------------------------------------------------------------------------------------- routes and leases


def run_with_polls(world, *steps):
    """Open the gateway; before each request do a step and poll. The versions that answered."""

    async def play():
        served = []
        async with world.open() as client:
            for step in steps:
                step()
                await world.gateway.routes.poll()
                served.append((await client.post(f"/v1/{RECIPE}/rank", json=ask())).json()["version"])
        return served

    return asyncio.run(play())


def test_a_kill_switch_takes_the_candidate_away_at_the_next_poll(world):
    world.router.set(ALL_TREATED)
    gone = STABLE.model_copy(update={"epoch": 6})
    assert run_with_polls(world, lambda: None, lambda: world.router.set(gone)) == ["v2", "v1"]


def test_routes_never_go_back(world):
    world.router.set(STABLE.model_copy(update={"epoch": 6}))
    assert run_with_polls(world, lambda: None, lambda: world.router.set(ALL_TREATED)) == ["v1", "v1"]
    assert world.gateway.routes.failures == 1


def test_a_ledger_that_vanished_keeps_the_routes(world):
    assert run_with_polls(world, lambda: None, world.router.tables.clear) == ["v1", "v1"]


def test_a_gateway_without_a_poll_for_its_lease_serves_stable_only_and_says_so(world):
    world.router.set(ALL_TREATED)

    def cut_off():
        world.router.down = True
        world.clock.tick(9)

    assert run_with_polls(world, cut_off, lambda: world.clock.tick(2)) == ["v2", "v1"]
    fresh, stale = world.exposures
    assert (fresh.fallback, stale.fallback) == (Fallback.NONE, Fallback.STALE_ROUTES)
    assert (stale.arm, stale.assigned_version, stale.served_version) == (Arm.TREATMENT, "v2", "v1")


def test_a_renewed_lease_brings_the_candidate_back(world):
    world.router.set(ALL_TREATED)
    assert run_with_polls(world, lambda: world.clock.tick(60), lambda: None) == ["v2", "v2"]


def test_a_gateway_starts_from_its_last_routes_on_disk_and_serves_stable(world):
    world.router.set(ALL_TREATED)
    world.rank()
    world.router.down = True
    assert world.rank().json()["version"] == "v1"
    assert world.exposures[1].epoch == 5


def test_unreadable_routes_on_disk_are_left_aside(world):
    world.rank()
    (world.folder / "routes" / f"{RECIPE}.json").write_text("{torn")
    world.router.down = True
    assert world.rank().json()["version"] == "lexical"


def test_an_epoch_is_acknowledged_only_when_no_running_request_is_below_it(world):
    async def play():
        world.scorer.open = asyncio.Event()
        async with world.open() as client:
            running = asyncio.create_task(client.post(f"/v1/{RECIPE}/rank", json=ask()))
            await world.scorer.arrivals.get()
            world.router.set(ALL_TREATED)
            await world.gateway.routes.poll()
            before = world.router.acknowledged(RECIPE, 5)
            world.scorer.open.set()
            await running
            await world.gateway.routes.poll()
            return before.complete, world.router.acknowledged(RECIPE, 5).complete

    assert asyncio.run(play()) == (False, True)


def test_a_gateway_that_stops_is_not_waited_for(world):
    world.rank()
    assert world.router.acknowledged(RECIPE, 99).live == ()


def test_a_table_for_another_epoch_with_no_stable_keeps_serving_words(world):
    world.router.set(RoutingTable(recipe=RECIPE, epoch=9, shadow="v2", experiment="rel-1:shadow"))
    assert world.rank().json()["version"] == "lexical"
    assert world.exposures[1].assigned_version == "v2"
