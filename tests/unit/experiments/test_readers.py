from datetime import timedelta

import pytest

from fakes.fake_event_log import FakeEventLog
from fakes.shoppers import EXPERIMENT, START, acted, shown
from recflow.artifacts.events import Arm, Fallback
from recflow.experiments.readers import read_evidence

T, C = Arm.TREATMENT, Arm.CONTROL


def read(*records, now_s=1000, window_s=100):
    now, window = START + timedelta(seconds=now_s), timedelta(seconds=window_s)
    return read_evidence(FakeEventLog(records), "shop_search", EXPERIMENT, start=START, now=now, window=window)


def row(evidence, user):
    return next(row for row in evidence.users.to_pylist() if row["user_key"] == user)


def test_a_user_counts_once_the_window_after_the_first_exposure_has_closed():
    early, late = shown("early", T, 0), shown("late", C, 950)
    evidence = read(early, late)
    assert evidence.users["user_key"].to_pylist() == ["early"]
    assert evidence.assigned == {T: 1, C: 1}


def test_what_happens_after_the_window_changes_nothing():
    first, again = shown("u", T, 0), shown("u", T, 500)
    evidence = read(first, again, acted(first, 10), acted(first, 300), acted(again, 1))
    assert row(evidence, "u") | {"searches": 1.0, "clicks": 1.0} == row(evidence, "u")


def test_returning_inside_the_window_adds_to_the_user():
    first, again = shown("u", T, 0), shown("u", T, 50)
    evidence = read(first, again, acted(first, 10), acted(again, 10))
    assert (row(evidence, "u")["searches"], row(evidence, "u")["clicks"]) == (2, 2)


def test_an_item_counts_once_a_search_however_often_it_is_clicked():
    exposure = shown("u", T, 0)
    evidence = read(exposure, acted(exposure, 1), acted(exposure, 2), acted(exposure, 3, item_id="i2"))
    assert row(evidence, "u")["clicks"] == 2


def test_carts_purchases_and_revenue_are_kept_apart():
    exposure = shown("u", C, 0)
    bought = [acted(exposure, 5, "purchase", value=value, item_id=f"i{value}") for value in (10, 30)]
    seen = row(read(exposure, acted(exposure, 2, "cart"), *bought), "u")
    assert (seen["clicks"], seen["carts"], seen["purchases"], seen["revenue"]) == (0, 1, 2, 40)


def test_users_in_both_arms_are_counted_and_left_out():
    evidence = read(shown("u", T, 0), shown("u", C, 10), shown("v", T, 0))
    assert evidence.in_both == 1
    assert evidence.users["user_key"].to_pylist() == ["v"]


@pytest.mark.parametrize("change", [{"marked": "bot"}, {"experiment": "other:judging"}, {"arm": Arm.STABLE}])
def test_bots_other_stages_and_users_outside_the_arms_are_left_out(change):
    evidence = read(shown("u", T, 0).model_copy(update=change), shown("v", C, 0))
    assert evidence.users["user_key"].to_pylist() == ["v"]


def test_a_request_served_by_stable_still_counts_for_the_assigned_arm():
    evidence = read(shown("u", T, 0, fallback=Fallback.TIMEOUT, served_version="v1"))
    assert row(evidence, "u") | {"arm": "treatment", "fallbacks": 1.0} == row(evidence, "u")


def test_answers_under_stale_routes_are_no_evidence():
    stale = {"fallback": Fallback.STALE_ROUTES, "served_version": "v1"}
    evidence = read(shown("u", T, 0, **stale), shown("v", C, 0, **stale), shown("v", C, 50))
    assert evidence.users["user_key"].to_pylist() == ["v"]
    assert (row(evidence, "v")["searches"], evidence.assigned, len(evidence.latency_ms)) == (1, {C: 1}, 1)


def test_latencies_belong_to_the_rows_of_their_users():
    evidence = read(shown("b", T, 0, latency_ms=20), shown("a", C, 0, latency_ms=10), shown("b", T, 1, latency_ms=30))
    assert sorted(zip(evidence.latency_user.tolist(), evidence.latency_ms.tolist(), strict=True)) == [
        (0, 10),
        (1, 20),
        (1, 30),
    ]


def test_an_empty_log_is_evidence_of_nothing():
    evidence = read()
    assert evidence.users.num_rows == evidence.in_both == 0
    assert evidence.assigned == {}
