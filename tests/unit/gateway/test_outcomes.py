"""What counts as an outcome, for whom, and what is refused with which code."""

import asyncio
import json
from datetime import timedelta

import pytest

from fakes.gateway_world import RECIPE, act, ask, refused
from recflow.config.sections.outcomes import OutcomeKind, OutcomeMetric, OutcomesSection
from recflow.domain.request_ids import SigningKeys, new_issue

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def signed(world):
    world.keys = SigningKeys((OLD,))
    return world


def in_turn(world, *bodies, pause_s=0):
    """Outcomes sent to one process, some seconds between them."""

    async def all_of_them():
        answers = []
        async with world.open() as client:
            for body in bodies:
                answers.append(await client.post("/v1/outcomes", json=body))
                world.clock.tick(pause_s)
        return answers

    return asyncio.run(all_of_them())


def shown_to(world, **ids):
    """The request id of an answer given to these ids."""
    return world.rank(ask(**({"user_id": None} | ids))).json()["request_id"]


def test_an_outcome_is_recorded_for_its_request_and_user(world):
    response = world.act(kind="purchase", value=9.5, outcome_id="o-1")
    assert response.json() == {"outcome_id": "o-1"}
    seen = world.outcomes[0]
    assert (seen.request_id, seen.user_key, seen.visitor_key, seen.recipe) == (f"{RECIPE}-1", "u-1", "", RECIPE)
    assert (seen.kind, seen.item_id, seen.value, seen.at) == ("purchase", "a", 9.5, world.clock.now())


def test_the_same_outcome_has_the_same_id_and_another_one_another(world):
    others = [{"item_id": "b"}, {"kind": "cart"}, {"user_id": "u-2"}, {"request_id": f"{RECIPE}-2"}]
    told = [world.act(**changes).json()["outcome_id"] for changes in ({}, {}, *others)]
    assert (told[0], len(set(told))) == (told[1], 5)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (act(request_id="ads-1"), (422, "unknown_request")),
        (act(kind="like"), (422, "unknown_kind")),
        (act(kind="Click!"), (422, "invalid_field")),
        (act(value=9.5), (422, "value_not_expected")),
        (act(kind="purchase", value=100_000.01), (422, "value_too_large")),
        (act(kind="purchase", value=1e308), (422, "value_too_large")),
        (act(kind="purchase", value=10**400), (422, "invalid_field")),
        (act(kind="purchase", value=float("nan")), (422, "invalid_field")),
        (act(kind="purchase", value=float("inf")), (422, "invalid_field")),
        (act(kind="purchase", value="NaN"), (422, "invalid_field")),
        (act(kind="purchase", value="Infinity"), (422, "invalid_field")),
        (act(kind="purchase", value=True), (422, "invalid_field")),
        (act(value=-1), (422, "invalid_field")),
        (act(user_id=""), (422, "no_user")),
        (act(user_id=None), (422, "no_user")),
        (act(item_id=None), (422, "invalid_field")),
        (act(item_id=""), (422, "invalid_field")),
        (act(item_id="x" * 5000), (413, "body_too_large")),
    ],
)
def test_an_outcome_that_fits_nothing_is_refused_and_not_recorded(world, body, expected):
    # json.dumps, unlike httpx, writes NaN and Infinity as careless clients do.
    assert refused(world.call("POST", "/v1/outcomes", content=json.dumps(body).encode())) == expected
    assert world.events.records == []


def test_the_kinds_are_those_that_the_line_names(world):
    kinds = (OutcomeKind(name="borrow", max_value=14), OutcomeKind(name="click"))
    world.named = OutcomesSection(kinds=kinds, metrics=(OutcomeMetric(name="ctr", kind="click"),))
    assert world.act(kind="borrow", value=14).status_code == 200
    assert refused(world.act(kind="borrow", value=15)) == (422, "value_too_large")
    response = world.act(kind="purchase")
    assert refused(response) == (422, "unknown_kind")
    assert response.json()["message"] == "kind: none of borrow, click"


# ------------------------------------------------------------------------------------------------------------- signing


def test_an_outcome_of_the_user_who_was_answered_counts(signed):
    assert signed.act(request_id=shown_to(signed, user_id="u-1")).status_code == 200
    assert signed.outcomes[0].request_id == signed.exposures[0].request_id


@pytest.mark.parametrize("ids", [{"user_id": "u-2"}, {"user_id": None, "anonymous_id": "u-1"}, {"user_id": "guest"}])
def test_an_outcome_of_another_user_is_refused(signed, ids):
    assert refused(signed.act(request_id=shown_to(signed, user_id="u-1"), **ids)) == (422, "unknown_request")
    assert signed.outcomes == []


@pytest.mark.parametrize("issued", ["1", "0" * 32, f"{'0' * 32}-{'0' * 32}", "-", ""])
def test_an_id_that_no_gateway_issued_is_refused(signed, issued):
    assert refused(signed.act(request_id=f"{RECIPE}-{issued}")) == (422, "unknown_request")


def test_an_answer_that_was_mirrored_to_a_shadow_was_shown_to_nobody(signed):
    assert refused(signed.act(request_id=f"{shown_to(signed, user_id='u-1')}-shadow")) == (422, "unknown_request")


def issued_later(world, **lateness):
    return str(world.keys.request_id(RECIPE, new_issue(world.clock.now() + timedelta(**lateness)), "u-1"))


def test_gateways_whose_clocks_are_a_minute_apart_take_each_others_answers_and_hours_apart_they_do_not(signed):
    assert signed.act(request_id=issued_later(signed, minutes=1)).status_code == 200
    response = signed.act(request_id=issued_later(signed, hours=1))
    assert refused(response) == (422, "unknown_request")
    assert "clocks" in response.json()["message"]


def test_an_outcome_long_after_its_answer_is_taken_and_left_to_the_readers(signed):
    assert signed.act(request_id=issued_later(signed, days=-30)).status_code == 200


def test_who_signs_in_at_the_checkout_acts_as_the_visitor_who_was_answered(signed):
    request_id = shown_to(signed, anonymous_id="cookie")
    assert signed.act(request_id=request_id, user_id="u-1", anonymous_id="cookie").status_code == 200
    seen = signed.outcomes[0]
    assert (seen.user_key, seen.visitor_key) == ("anonymous:cookie", "anonymous:cookie")
    assert refused(signed.act(request_id=request_id, user_id="u-1")) == (422, "unknown_request")
    assert refused(signed.act(request_id=request_id, user_id="u-1", anonymous_id="other")) == (422, "unknown_request")


def test_who_was_signed_in_and_still_has_a_cookie_acts_as_the_user(signed):
    request_id = shown_to(signed, user_id="u-1", anonymous_id="cookie")
    assert signed.act(request_id=request_id, anonymous_id="cookie").status_code == 200
    assert (signed.outcomes[0].user_key, signed.outcomes[0].visitor_key) == ("u-1", "anonymous:cookie")


def test_without_keys_an_outcome_names_both_whom_it_may_count_for(world):
    world.act(request_id=shown_to(world, anonymous_id="cookie"), anonymous_id="cookie")
    assert (world.outcomes[0].user_key, world.outcomes[0].visitor_key) == ("u-1", "anonymous:cookie")


def test_a_key_that_rotates_between_answer_and_act_loses_nothing_until_it_is_taken_away(signed):
    before = shown_to(signed, user_id="u-1")
    signed.keys = SigningKeys((NEW, OLD))
    between = shown_to(signed, user_id="u-1")
    assert [signed.act(request_id=told).status_code for told in (before, between)] == [200, 200]
    signed.keys = SigningKeys((NEW,))
    assert [signed.act(request_id=told).status_code for told in (before, between)] == [422, 200]


def test_while_keys_are_introduced_answers_from_before_still_count(world):
    before = shown_to(world, user_id="u-1")
    world.keys = SigningKeys((OLD,), accepts_unsigned=True)
    assert world.act(request_id=before).status_code == 200
    world.keys = SigningKeys((OLD,))
    assert refused(world.act(request_id=before)) == (422, "unknown_request")


def test_whether_ids_are_signed_is_told_and_is_no_problem(world):
    assert "not signed" in world.call("GET", "/readyz").json()["signing"]
    world.keys = SigningKeys((OLD,))
    told = world.call("GET", "/readyz").json()
    assert (told["status"], told["signing"]) == ("ready", "request ids are signed, one key is accepted")


# -------------------------------------------------------------------------------------------------------------- nobody


@pytest.mark.parametrize("keys", [SigningKeys(), SigningKeys((OLD,))], ids=["unsigned", "signed"])
def test_an_outcome_with_the_same_id_of_nobody_counts_for_the_answer_alone(world, keys):
    world.keys = keys
    request_id = shown_to(world, user_id="guest")
    assert world.act(request_id=request_id, user_id="guest").status_code == 200
    assert world.outcomes[0].user_key == world.exposures[0].user_key


def test_who_was_nobody_and_signs_in_may_still_act(signed):
    request_id = shown_to(signed, user_id="guest")
    assert signed.act(request_id=request_id, user_id="u-1", anonymous_id="guest").status_code == 200
    assert signed.outcomes[0].user_key == signed.exposures[0].user_key


# -------------------------------------------------------------------------------------------------------------- limits


def test_more_outcomes_of_one_answer_than_anybody_does_are_429_and_not_recorded(world):
    world.serving["max_outcomes_per_request"] = 3
    bodies = [act(user_id=f"u-{number}", item_id=f"i-{number}") for number in range(5)]
    *others, last = in_turn(world, *bodies, act(request_id=f"{RECIPE}-2"))
    assert [answer.status_code for answer in (*others, last)] == [200, 200, 200, 429, 429, 200]
    assert refused(others[-1]) == (429, "too_many_outcomes")
    assert 3590 <= int(others[-1].headers["retry-after"]) <= 3600
    assert len(world.outcomes) == 4


def test_more_outcomes_of_one_user_in_a_minute_than_anybody_does_are_429_until_the_minute_is_over(world):
    world.serving["max_outcomes_per_minute"] = 3
    bodies = [act(request_id=f"{RECIPE}-{number}") for number in range(7)]
    answers = in_turn(world, *bodies, pause_s=12)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429, 200, 200]
    assert [answer.headers["retry-after"] for answer in answers[3:5]] == ["24", "12"]
    assert len(world.outcomes) == 5


def test_one_users_haste_stops_nobody_else(world):
    world.serving["max_outcomes_per_minute"] = 1
    answers = in_turn(world, act(), act(request_id=f"{RECIPE}-2"), act(request_id=f"{RECIPE}-3", user_id="u-2"))
    assert [answer.status_code for answer in answers] == [200, 429, 200]


def test_what_is_refused_for_its_content_does_not_count_towards_the_limits(signed):
    signed.serving["max_outcomes_per_minute"] = 1
    request_id = shown_to(signed, user_id="u-1")
    forged = [act(request_id=f"{RECIPE}-{'0' * 32}")] * 3
    answers = in_turn(signed, *forged, act(request_id=request_id, kind="like"), act(request_id=request_id))
    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 200]
