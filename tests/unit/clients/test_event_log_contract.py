from datetime import timedelta

import pytest

from fakes.event_logs import KINDS_OF_LOG, event_log
from fakes.sample_events import NOON, RECIPE, comparison, exposure, outcome
from recflow.artifacts.events import Comparison, Exposure, Outcome
from recflow.clients.event_records import COMPARISONS, EXPOSURES, OUTCOMES

HOUR = timedelta(hours=1)
WINDOW = (NOON - HOUR, NOON + HOUR)


@pytest.fixture(params=KINDS_OF_LOG)
def log(request, tmp_path):
    with event_log(request.param, tmp_path / "events") as log:
        yield log


def test_an_empty_log_reads_as_empty_tables_with_all_columns(log):
    assert log.exposures(RECIPE, *WINDOW).schema == EXPOSURES
    assert log.outcomes(RECIPE, *WINDOW).schema == OUTCOMES
    assert log.comparisons(RECIPE, *WINDOW).schema == COMPARISONS


def test_the_columns_are_those_of_the_records():
    assert EXPOSURES.names == list(Exposure.model_fields)
    assert OUTCOMES.names == list(Outcome.model_fields)
    assert COMPARISONS.names == list(Comparison.model_fields)


def test_records_come_back_as_they_were_written(log):
    seen = exposure("r-1", query='手机 "壳"\n', marked="bot", at=NOON + timedelta(microseconds=123456))
    seen = seen.model_copy(update={"context": {"device": "phone"}, "candidates": ("a", "b", "c"), "erased": True})
    bought = outcome("o-1", value=12.5, visitor_key="anonymous-7")
    log.append("w", [seen, bought])
    assert [Exposure(**row) for row in log.exposures(RECIPE, *WINDOW).to_pylist(maps_as_pydicts="strict")] == [seen]
    assert [Outcome(**row) for row in log.outcomes(RECIPE, *WINDOW).to_pylist()] == [bought]


def test_comparisons_come_back_as_they_were_written_and_are_nobodys_traffic(log):
    told = [comparison("c-1", overlap=0.4), comparison("c-2", items=(), user_key="", query="", erased=True, tau=None)]
    log.append("w", [told[0], exposure("r-1")])
    log.append("w", [told[1], outcome("o-1")])
    rows = log.comparisons(RECIPE, *WINDOW).to_pylist()
    assert [Comparison(**row) for row in rows] == told
    assert log.exposures(RECIPE, *WINDOW)["request_id"].to_pylist() == ["r-1"]
    with log.facts(RECIPE, *WINDOW, look_back=HOUR) as facts:
        assert facts.execute("select count(*) from shown").fetchall() == [(1,)]
        assert facts.execute("select count(*) from exposures").fetchall() == [(1,)]
    assert log.comparisons(RECIPE, *WINDOW, columns=("tau",))["tau"].to_pylist() == [-1.0, None]


def test_users_who_are_erased_are_in_no_comparison_and_the_figures_stay(log):
    others = [comparison("c-3", user_key="user-3"), comparison("c-4", recipe="other_line"), exposure("r-1")]
    log.append("w", [comparison("c-1"), comparison("c-2", user_key="anonymous:7"), *others])
    log.close()
    for _ in range(2):
        assert log.erase_comparisons(RECIPE, ["user-1", "anonymous:7"]) == 0
    first, second, third = [Comparison(**row) for row in log.comparisons(RECIPE, *WINDOW).to_pylist()]
    nothing = {"user_key": "", "query": "", "items": (), "erased": True}
    assert (first, second) == tuple(comparison(name, **nothing) for name in ("c-1", "c-2"))
    assert third == others[0]
    assert [Comparison(**row) for row in log.comparisons("other_line", *WINDOW).to_pylist()] == [others[1]]
    assert log.exposures(RECIPE, *WINDOW)["user_key"].to_pylist() == ["user-1"], "no exposure is touched"


def test_the_window_is_half_open(log):
    log.append("w", [exposure("before", at=NOON - HOUR), exposure("end", at=NOON + HOUR), exposure("in", at=NOON)])
    assert log.exposures(RECIPE, *WINDOW)["request_id"].to_pylist() == ["before", "in"]


def test_a_window_over_midnight_finds_both_days(log):
    evening = NOON.replace(hour=23, minute=59)
    log.append("w", [exposure("late", at=evening), exposure("early", at=evening + timedelta(minutes=2))])
    assert log.exposures(RECIPE, evening, evening + HOUR)["request_id"].to_pylist() == ["late", "early"]


def test_each_outcome_counts_once(log):
    for worker in ("w1", "w2"):
        log.append(worker, [outcome("same"), outcome(f"by-{worker}")])
    assert log.outcomes(RECIPE, *WINDOW)["outcome_id"].to_pylist() == ["by-w1", "by-w2", "same"]


def test_one_id_for_three_items_of_an_order_is_three_outcomes(log):
    for worker in ("w1", "w2"):
        log.append(worker, [outcome("order-1", kind="purchase", item_id=item) for item in "abc"])
    assert log.outcomes(RECIPE, *WINDOW)["item_id"].to_pylist() == ["a", "b", "c"]


def test_rows_stand_in_time_order_over_workers(log):
    for number in (3, 1, 2):
        log.append(f"w{number}", [exposure(f"r-{number}", at=NOON + timedelta(seconds=number))])
    assert log.exposures(RECIPE, *WINDOW)["request_id"].to_pylist() == ["r-1", "r-2", "r-3"]


def test_other_recipes_are_not_mixed_in(log):
    log.append("w", [exposure("mine"), exposure("theirs", recipe="ads")])
    assert log.exposures("ads", *WINDOW)["request_id"].to_pylist() == ["theirs"]


def test_a_few_columns_can_be_asked_for(log):
    log.append("w", [exposure("r-1")])
    assert log.exposures(RECIPE, *WINDOW, columns=("arm", "latency_ms")).to_pylist() == [
        {"arm": "stable", "latency_ms": 12.5}
    ]


def test_a_request_that_was_shown_nothing_is_kept(log):
    log.append("w", [exposure("r-1", items=())])
    assert log.exposures(RECIPE, *WINDOW)["items"].to_pylist() == [[]]
