"""Which acts count, wherever the records are: in a segment, in Parquet, half and half, or in the fake."""

from datetime import timedelta

import pytest

from fakes.event_logs import KINDS_OF_LOG, event_log
from fakes.sample_events import NOON, RECIPE, exposure, outcome

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(params=KINDS_OF_LOG)
def log(request, tmp_path):
    with event_log(request.param, tmp_path / "events") as log:
        yield log


def ask(log, sql, window=(NOON - HOUR, NOON + HOUR)):
    with log.facts(RECIPE, *window) as facts:
        return facts.execute(sql).fetchall()


def reasons(log):
    return dict(ask(log, "select reason, count(*) from acted group by reason"))


def counted(log):
    [(items, value)] = ask(log, "select count(*) filter (nth = 1), sum(value) filter (nth <= 2) from acted")
    return items, value


def test_an_empty_log_has_no_facts(log):
    assert ask(log, "from shown") == ask(log, "from acted") == ask(log, "from exposures") == []


def test_an_act_on_an_item_that_was_shown_counts(log):
    log.append("w", [exposure("r-1")])
    log.append("w", [outcome("o-1", value=12.5, at=NOON + MINUTE)])
    assert ask(log, "select kind, value, nth, reason, arm, items, (acted_us - shown_us) // 1000000 from acted") == [
        ("click", 12.5, 1, "", "stable", 2, 60)
    ]


def test_five_thousand_acts_on_items_that_were_never_shown_are_none(log):
    log.append("w", [exposure("r-1"), *(outcome(f"o-{n}", item_id=f"never-{n}") for n in range(5000))])
    assert reasons(log) == {"not_shown": 5000}


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ({"request_id": "r-9"}, "unknown_request"),
        ({"user_key": "user-2"}, "other_user"),
        ({"user_key": "user-2", "visitor_key": "user-3"}, "other_user"),
        ({"item_id": "c"}, "not_shown"),
        ({"at": NOON - 3 * MINUTE}, "before_shown"),
    ],
)
def test_an_act_that_belongs_to_no_answer_is_kept_with_its_reason(log, act, reason):
    log.append("w", [exposure("r-1")])
    log.append("w", [outcome("o-1", **act)])
    assert reasons(log) == {reason: 1}


def test_the_clocks_of_two_gateways_may_be_a_minute_apart(log):
    log.append("w1", [exposure("r-1")])
    log.append("w2", [outcome("o-1", at=NOON - MINUTE)])
    assert ask(log, "select reason, acted_us = shown_us from acted") == [("", True)]


def test_who_signs_in_after_the_answer_is_still_the_one_that_it_was_given_to(log):
    log.append("w", [exposure("r-1", user_key="visitor-1", anonymous=True)])
    log.append("w", [outcome("o-1", user_key="user-1", visitor_key="visitor-1")])
    assert reasons(log) == {"": 1}
    assert ask(log, "select count(*) from shown join acted using (user_hash)") == [(1,)]


def test_an_act_that_is_told_again_later_is_the_same_act(log):
    log.append("w", [exposure("r-1"), outcome("o-1", kind="purchase", value=5)])
    for minutes in (1, 2):
        log.append("w", [outcome("o-1", kind="purchase", value=5, at=NOON + minutes * MINUTE)])
    assert ask(log, "select value, nth, id_nth, acted_us = shown_us from acted") == [(5, 1, 1, True)]


def test_one_order_id_for_three_items_is_three_acts_and_a_collision(log):
    log.append("w", [exposure("r-1", items=[{"item_id": i, "position": 1, "score": 0} for i in "abc"])])
    for item in "abc":
        log.append("w", [outcome("order-1", kind="purchase", value=10, item_id=item)])
    assert counted(log) == (3, 30)
    assert ask(log, "select count(*) from acted where id_nth = 2") == [(1,)]


def test_purchases_of_one_item_under_their_own_ids_are_numbered(log):
    log.append("w", [exposure("r-1")])
    for number in range(4):
        log.append("w", [outcome(f"o-{number}", kind="purchase", value=10, at=NOON + number * MINUTE)])
    assert counted(log) == (1, 20)
    assert ask(log, "select nth from acted order by acted_us") == [(1,), (2,), (3,), (4,)]


def test_the_same_item_in_another_kind_or_another_answer_counts_by_itself(log):
    log.append("w", [exposure("r-1"), exposure("r-2")])
    log.append("w", [outcome("o-1"), outcome("o-2", kind="cart"), outcome("o-3", request_id="r-2")])
    assert ask(log, "select nth from acted") == [(1,), (1,), (1,)]


def test_acts_on_answers_to_bots_and_erased_records_leave_no_facts(log):
    log.append(
        "w", [exposure("bot", marked="bot"), exposure("gone", erased=True, user_key="", items=()), exposure("r-1")]
    )
    log.append("w", [outcome("o-1", request_id="bot"), outcome("o-2", request_id="gone"), outcome("o-3", erased=True)])
    assert ask(log, "from acted") == []
    assert ask(log, "select count(*) from shown") == [(1,)]


def test_acts_of_the_window_on_answers_of_the_day_before_are_of_it(log):
    old, older = NOON - timedelta(hours=20), NOON - timedelta(hours=30)
    log.append("w", [exposure("r-1", at=old), exposure("r-2", at=older)])
    log.append("w", [outcome("o-1"), outcome("o-2", request_id="r-2"), outcome("o-3", at=NOON + HOUR)])
    assert reasons(log) == {"": 1}


def test_an_answer_of_more_than_a_week_ago_is_not_known_any_more(log):
    log.append("w", [exposure("r-1", at=NOON - timedelta(days=9))])
    log.append("w", [outcome("o-1")])
    assert reasons(log) == {"unknown_request": 1}


def test_queries_that_differ_in_case_and_spaces_are_one(log):
    log.append(
        "w", [exposure("r-1", query="Red  shoes "), exposure("r-2", query="red shoes"), exposure("r-3", query="red")]
    )
    assert ask(log, "select count(distinct query_hash) from shown") == [(2,)]


def test_facts_of_other_recipes_are_not_mixed_in(log):
    log.append("w", [exposure("r-1", recipe="ads"), outcome("o-1", recipe="ads"), exposure("r-2"), outcome("o-2")])
    assert ask(log, "select count(*) from shown") == [(1,)]
    assert reasons(log) == {"unknown_request": 1}
