from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.made_evidence import planned
from fakes.shoppers import EXPERIMENT, START, acted, crowd, shown
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Arm, Fallback, ShownItem
from recflow.clients.event_log import DuckEventLog
from recflow.config.sections.gate import OnlineSlice
from recflow.config.sections.outcomes import OutcomeKind, OutcomeMetric, OutcomesSection
from recflow.experiments.evidence import Design, HeavyUnit
from recflow.experiments.gate import judge_online
from recflow.experiments.readers import read_evidence

T, C = Arm.TREATMENT, Arm.CONTROL
THREE = tuple(ShownItem(item_id=f"i{number}", position=number, score=0) for number in (1, 2, 3))
DAY_S = 86400


def read(*records, now_s=1000, window_s=100, **design):
    log = FakeEventLog(records)
    return look(log, now_s=now_s, window_s=window_s, **design)


def look(log, *, now_s, window_s, **design):
    asked = Design("shop_search", EXPERIMENT, START, timedelta(seconds=window_s), **design)
    return read_evidence(log, asked, START + timedelta(seconds=now_s))


def total(evidence, name, part="totals"):
    return getattr(evidence, part)[name].tolist()


def test_a_user_counts_once_the_window_after_the_first_exposure_has_closed():
    early, late = shown("early", T, 0), shown("late", C, 950)
    evidence = read(early, late)
    assert evidence.treated.tolist() == [True]
    assert evidence.assigned == {T: 1, C: 1}
    assert evidence.searches == {T: 1, C: 1}


def test_users_stand_in_the_order_of_their_first_exposures():
    evidence = read(shown("c", T, 30), shown("a", C, 20), shown("b", T, 10), shown("a", C, 60), shown("a", C, 61))
    assert evidence.treated.tolist() == [True, False, True]
    assert total(evidence, "searches") == [1, 3, 1]


def test_what_happens_after_the_window_changes_nothing_and_is_counted_apart():
    first, again = shown("u", T, 0), shown("u", T, 500)
    evidence = read(first, again, acted(first, 10), acted(first, 300, "cart"), acted(again, 1))
    assert (total(evidence, "searches"), total(evidence, "count:click"), total(evidence, "count:cart")) == (
        [1],
        [1],
        [0],
    )
    assert (evidence.matched, evidence.unmatched) == (1, {"after_window": 2})


def test_returning_inside_the_window_adds_to_the_user():
    first, again = shown("u", T, 0), shown("u", T, 50)
    evidence = read(first, again, acted(first, 10), acted(again, 10))
    assert (total(evidence, "searches"), total(evidence, "count:click")) == ([2], [2])


def test_an_item_counts_once_a_search_however_often_it_is_clicked():
    exposure = shown("u", T, 0, items=THREE)
    evidence = read(exposure, acted(exposure, 1), acted(exposure, 2), acted(exposure, 3, item_id="i2"))
    assert total(evidence, "count:click") == [2]


WHOLE = {"items": (), "answer": '{"class": 1}'}


@pytest.mark.parametrize(
    "make", [lambda _: FakeEventLog(), lambda folder: DuckEventLog(folder, FakeClock(START))], ids=["fake", "real"]
)
def test_an_act_on_an_answer_without_items_counts_once_a_search_and_kind(tmp_path, make):
    first, second = shown("u", T, 0, **WHOLE), shown("u", T, 1, **WHOLE)
    acts = [acted(each, after, item_id="") for each in (first, second) for after in (2, 3)]
    log = make(tmp_path)
    log.append("w", [first, second, *acts, acted(first, 4, "cart", item_id="")])
    log.close()
    for _ in range(2):
        evidence = look(log, now_s=1000, window_s=100)
        assert (total(evidence, "count:click"), total(evidence, "count:cart")) == ([2], [1])
        assert (evidence.matched, evidence.unmatched) == (5, {})
        log.compact()


@pytest.mark.parametrize(
    ("answer", "item"), [(WHOLE, "i1"), ({}, ""), ({"items": (), "fallback": Fallback.TIMEOUT}, "")],
    ids=["an item of an answer without any", "no item of an answer with some", "an answer that nobody was shown"],
)  # fmt: skip
def test_an_act_that_is_on_nothing_that_was_shown_counts_nowhere(answer, item):
    exposure = shown("u", T, 0, **answer)
    evidence = read(exposure, acted(exposure, 1, item_id=item))
    assert (total(evidence, "count:click"), evidence.unmatched) == ([0], {"not_shown": 1})


def test_kinds_are_kept_apart_and_add_their_own_values():
    exposure = shown("u", C, 0, items=THREE)
    bought = [acted(exposure, 5, "purchase", value=10.0 * number, item_id=f"i{number}") for number in (1, 3)]
    evidence = read(exposure, acted(exposure, 2, "cart"), *bought)
    assert [total(evidence, f"count:{kind}") for kind in ("click", "cart", "purchase")] == [[0], [1], [2]]
    assert total(evidence, "value:purchase") == [40]


def test_an_act_of_a_kind_that_the_line_does_not_name_is_no_evidence():
    exposure = shown("u", C, 0)
    kinds = (OutcomeKind(name="booking"),)
    section = OutcomesSection(kinds=kinds, metrics=(OutcomeMetric(name="booking_rate", kind="booking"),))
    evidence = read(exposure, acted(exposure, 1, "booking"), acted(exposure, 2, "click"), outcomes=section)
    assert set(evidence.totals) == {"searches", "fallbacks", "slow", "count:booking", "value:booking"}
    assert total(evidence, "count:booking") == [1]


def test_several_purchases_of_an_item_add_their_values_up_to_the_number_that_the_line_names():
    exposure = shown("u", C, 0)
    bought = [acted(exposure, second, "purchase", value=10.0) for second in range(1, 6)]
    kinds = (OutcomeKind(name="purchase", max_value=100, max_repeats=3),)
    evidence = read(exposure, *bought, outcomes=OutcomesSection(kinds=kinds, metrics=()))
    assert (total(evidence, "count:purchase"), total(evidence, "value:purchase")) == ([1], [30])


def test_values_beyond_what_the_line_allows_are_cut_in_old_logs_as_well():
    old, exposure = shown("u", Arm.STABLE, -DAY_S, experiment=""), shown("u", C, 0)
    huge = [acted(record, 1, "purchase", value=1e308) for record in (old, exposure)]
    kinds = (OutcomeKind(name="purchase", max_value=100),)
    section = OutcomesSection(kinds=kinds, metrics=())
    evidence = read(old, exposure, *huge, outcomes=section, look_back=timedelta(days=14))
    assert (total(evidence, "value:purchase"), total(evidence, "value:purchase", "before")) == ([100], [100])


def test_one_order_id_for_three_items_loses_nothing_and_is_told():
    exposure = shown("u", C, 0, items=THREE)
    order = [acted(exposure, 5, "purchase", value=10.0, item_id=f"i{n}", outcome_id="order-1") for n in (1, 2, 3)]
    evidence = read(exposure, *order, *order)
    assert (total(evidence, "value:purchase"), evidence.collisions) == ([30], 1)


def test_thousands_of_acts_on_items_that_nobody_was_shown_change_no_metric():
    records = crowd(100, {T: 0.4, C: 0.4})
    victim = next(record for record in records if getattr(record, "arm", None) is T)
    forged = [acted(victim, 1, item_id=f"never-{number}") for number in range(5000)]
    clean, forged = read(*records, now_s=9000), read(*records, *forged, now_s=9000)
    assert total(clean, "count:click") == total(forged, "count:click")
    assert forged.unmatched == {**clean.unmatched, "not_shown": 5000}


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ({"user_key": "v"}, "other_user"),
        ({"at": START - timedelta(seconds=200)}, "before_shown"),
        ({"request_id": "r-unheard-of"}, "unknown_request"),
        ({"item_id": "i9"}, "not_shown"),
        ({"at": START + timedelta(seconds=101)}, "after_window"),
    ],
)
def test_an_act_that_belongs_to_no_answer_counts_nowhere_but_under_its_reason(act, reason):
    exposure = shown("u", T, 0)
    log = FakeEventLog([exposure, shown("v", C, 0), acted(exposure, 1, **act)])
    asked = Design("shop_search", EXPERIMENT, START - timedelta(hours=1), timedelta(seconds=100))
    evidence = read_evidence(log, asked, START + timedelta(seconds=1000))
    assert total(evidence, "count:click") == [0, 0]
    assert (evidence.matched, evidence.unmatched) == (0, {reason: 1})


def test_an_act_in_the_place_of_another_kind_counts_for_its_own_kind_only():
    exposure = shown("u", T, 0)
    evidence = read(exposure, acted(exposure, 1, "cart", outcome_id="o"), acted(exposure, 2, "click", outcome_id="o"))
    assert (total(evidence, "count:cart"), total(evidence, "count:click"), evidence.collisions) == ([1], [1], 1)


def test_who_signs_in_between_exposure_and_act_acts_as_the_exposed():
    exposure = shown("visitor", T, 0, anonymous=True)
    evidence = read(exposure, acted(exposure, 9, "purchase", user_key="u", visitor_key="visitor", value=7.0))
    assert (total(evidence, "value:purchase"), evidence.unmatched) == ([7], {})


def test_users_in_both_arms_are_counted_and_left_out():
    evidence = read(shown("u", T, 0), shown("u", C, 10), shown("v", T, 0))
    assert (evidence.in_both, evidence.users, evidence.assigned) == (1, 1, {T: 1})


@pytest.mark.parametrize(
    "change", [{"marked": "bot"}, {"experiment": "other:judging"}, {"arm": Arm.STABLE}, {"erased": True}]
)
def test_bots_other_stages_erased_records_and_users_outside_the_arms_are_left_out(change):
    evidence = read(shown("u", T, 0).model_copy(update=change), shown("v", C, 0))
    assert evidence.treated.tolist() == [False]


def test_a_request_served_by_stable_still_counts_for_the_assigned_arm():
    evidence = read(shown("u", T, 0, fallback=Fallback.TIMEOUT, served_version="v1"))
    assert (evidence.treated.tolist(), total(evidence, "fallbacks")) == ([True], [1])


def test_answers_under_stale_routes_are_no_evidence():
    stale = {"fallback": Fallback.STALE_ROUTES, "served_version": "v1"}
    lost, kept = shown("v", C, 0, **stale), shown("v", C, 50)
    evidence = read(shown("u", T, 0, **stale), lost, kept, acted(lost, 1), acted(kept, 1))
    assert (evidence.assigned, total(evidence, "searches"), total(evidence, "count:click")) == ({C: 1}, [1], [1])


def test_slow_is_beyond_the_controls_p95_by_the_designs_factor():
    control = [shown(f"c{ms}", C, ms, latency_ms=ms) for ms in range(1, 101)]
    treated = [shown("t", T, 150 + ms, latency_ms=ms) for ms in (95, 104, 105)]
    evidence = read(*control, *treated, slow_factor=1.1, window_s=200)
    assert evidence.control_p95_ms == pytest.approx(95, rel=0.002)
    assert total(evidence, "slow")[-1] == 1
    assert total(evidence, "slow")[:-1] == [0] * 100


def test_one_patient_unit_does_not_decide_what_is_slow():
    control = [shown(f"c{number}", C, number, latency_ms=50) for number in range(100)]
    patient = [shown("patient", C, 10 * number, latency_ms=400) for number in range(60)]
    evidence = read(*control, *patient, shown("t", T, 0, latency_ms=100), window_s=600, now_s=2000)
    assert (evidence.programs, evidence.control_p95_ms) == ({}, pytest.approx(50, rel=0.002))
    assert total(evidence, "slow")[evidence.treated.tolist().index(True)] == 1


def test_without_control_there_is_no_p95_and_nothing_is_slow():
    evidence = read(shown("t", T, 0, latency_ms=1e6))
    assert (evidence.control_p95_ms, total(evidence, "slow")) == (None, [0])


def test_who_searches_more_often_than_a_person_is_left_out_of_its_arm_and_counted():
    program = [shown("program", T, second) for second in range(21)]
    hasty = [shown("hasty", C, second) for second in range(20)]
    evidence = read(*program, *hasty, acted(program[0], 5), shown("v", T, 0))
    assert evidence.programs == {T: 1}
    assert sorted(zip(evidence.treated.tolist(), total(evidence, "searches"), strict=True)) == [(False, 20), (True, 1)]
    assert evidence.assigned == {T: 2, C: 1}


def test_many_searches_over_many_minutes_are_no_program():
    patient = [shown("patient", T, 6 * number) for number in range(100)]
    assert read(*patient, window_s=600).programs == {}


def test_a_program_changes_nothing_for_everybody_else():
    records = crowd(200, {T: 0.4, C: 0.4})
    alone, beside = read(*records, now_s=9000), read(*records, *(shown("p", C, n / 4) for n in range(4000)), now_s=9000)
    assert beside.programs == {C: 1}
    for name, values in alone.totals.items():
        assert values.tolist() == total(beside, name)


@pytest.mark.parametrize(
    ("rate", "arm", "wrong"), [(0.4, T, Verdict.FAIL), (0.2, C, Verdict.PASS)], ids=["equal", "half as good"]
)
def test_one_program_in_the_log_changes_no_verdict(rate, arm, wrong):
    records = crowd(1200, {T: rate, C: 0.4})

    def decide(*more):
        return judge_online(
            planned("refresh", max_relative_drop=0.1, planned_users=1000), read(*records, *more)
        ).verdict

    alone = decide()
    assert alone is not wrong
    for per_minute in (100, 200, 400):
        assert decide(*(shown("program", arm, second * 60 / per_minute) for second in range(per_minute))) is alone


def test_the_heaviest_units_are_named_with_their_share_of_their_arm():
    program = [shown("program", T, second) for second in range(30)]
    evidence = read(*program, shown("u", T, 0), shown("u", T, 9), *(shown("v", C, at) for at in range(4)))
    assert evidence.heaviest == (
        HeavyUnit("program", T, 30, 30 / 32, True),
        HeavyUnit("v", C, 4, 1.0, False),
        HeavyUnit("u", T, 2, 2 / 32, False),
    )


def before(evidence, name):
    return total(evidence, name, "before")


def test_what_a_user_did_before_the_own_first_exposure_is_told_apart():
    old, canary = shown("u", Arm.STABLE, -DAY_S, experiment=""), shown("u", C, -600, experiment="release-1-v2:canary_0")
    first = shown("u", T, 0)
    acts = [acted(old, 5, "purchase", value=20.0), acted(canary, 5), acted(first, 5), acted(old, DAY_S + 3, "cart")]
    evidence = read(old, canary, first, *acts, look_back=timedelta(days=14))
    assert (before(evidence, "searches"), before(evidence, "count:click"), before(evidence, "count:cart")) == (
        [2],
        [1],
        [0],
    )
    assert before(evidence, "value:purchase") == [20]
    assert total(evidence, "searches") == [1]


def test_what_lies_further_back_than_the_design_looks_is_not_read():
    old = shown("u", Arm.STABLE, -2 * DAY_S, experiment="")
    assert before(read(old, shown("u", T, 0), look_back=timedelta(days=1)), "searches") == [0]


def test_an_experiment_whose_shoppers_are_all_new_has_covariates_of_nothing():
    evidence = read(shown("u", T, 0), shown("v", C, 0), look_back=timedelta(days=14))
    assert all(values.tolist() == [0, 0] for values in evidence.before.values())
    assert set(evidence.before) == set(evidence.totals) - {"fallbacks", "slow"}


def test_without_a_look_back_there_are_no_covariates():
    assert read(shown("u", T, 0)).before == {}


def sliced(evidence, name, what="searches"):
    return evidence.slices[name][what].tolist()


def slices(*names, **fields):
    return tuple(OnlineSlice(name=name, **fields) for name in names)


def test_long_and_short_lists_share_out_the_searches_and_their_acts():
    long, short = shown("u", T, 0, items=THREE), shown("u", T, 5)
    evidence = read(
        long,
        short,
        acted(long, 1),
        acted(long, 2, item_id="i2"),
        acted(short, 1),
        slices=slices("long_lists", "short_lists", items=3),
    )
    assert (sliced(evidence, "long_lists"), sliced(evidence, "short_lists")) == ([1], [1])
    assert (sliced(evidence, "long_lists", "count:click"), sliced(evidence, "short_lists", "count:click")) == ([2], [1])


QUERIES = ["shoe"] * 5 + ["Hat"] * 3 + ["hat"] + ["scarf"] * 2 + ["sock"]


def test_head_queries_are_those_of_most_users_that_make_up_half_of_the_searches():
    records = [shown(f"u{at}", T, at, query=query) for at, query in enumerate(QUERIES)]
    evidence = read(*records, slices=slices("head", "tail"))
    assert (sum(sliced(evidence, "head")), sum(sliced(evidence, "tail"))) == (9, 3)


@pytest.mark.parametrize("every_s", [1, 4], ids=["a program", "a patient one"])
def test_one_unit_does_not_decide_which_queries_are_frequent(every_s):
    records = [shown(f"u{at}", T, at, query=query) for at, query in enumerate(QUERIES)]
    one = [shown("one", C, every_s * number, query="mine") for number in range(60)]
    evidence = read(*records, *one, slices=slices("head"), window_s=600)
    assert sum(sliced(evidence, "head")) == 9


def test_users_who_have_searched_before_are_returning_and_the_others_new():
    old = shown("u", Arm.STABLE, -60, experiment="")
    evidence = read(
        old,
        shown("u", T, 0),
        shown("v", C, 1),
        look_back=timedelta(days=1),
        slices=slices("new_users", "returning_users"),
    )
    assert (sliced(evidence, "returning_users"), sliced(evidence, "new_users")) == ([1, 0], [0, 1])


def test_an_empty_log_is_evidence_of_nothing():
    evidence = read(look_back=timedelta(days=1), slices=slices("head", "new_users"))
    assert (evidence.users, evidence.in_both, evidence.assigned, evidence.heaviest) == (0, 0, {}, ())


def test_a_hundred_thousand_acts_of_one_user_are_one_row():
    exposure = shown("u", T, 0)
    acts = 100_000
    log = FakeEventLog([exposure])
    fields = {
        "request_id": exposure.request_id,
        "recipe": "shop_search",
        "user_key": "u",
        "kind": "purchase",
        "item_id": "i1",
    }
    columns = {name: pa.array([value]).take(pa.array(np.zeros(acts, int))) for name, value in fields.items()}
    numbers = [f"o-{number}" for number in range(acts)]
    told = pa.array([exposure.at] * acts, pa.timestamp("us", tz="UTC"))
    log.feed(pa.table({}), pa.table({**columns, "outcome_id": numbers, "at": told, "value": np.full(acts, 2.0)}))
    evidence = look(log, now_s=1000, window_s=100)
    assert (total(evidence, "value:purchase"), evidence.matched) == ([20], acts)


def test_tables_that_are_fed_are_read_like_records():
    records = crowd(50, {T: 0.4, C: 0.4})
    written, fed = FakeEventLog(records), FakeEventLog()
    window = ("shop_search", START - timedelta(days=1), START + timedelta(days=1))
    fed.feed(written.exposures(*window), written.outcomes(*window))
    one, two = (look(log, now_s=9000, window_s=100) for log in (written, fed))
    assert [values.tolist() for values in one.totals.values()] == [values.tolist() for values in two.totals.values()]


def test_the_heaviest_user_may_have_been_erased_since_the_facts_were_made(tmp_path):
    log = DuckEventLog(tmp_path / "events", FakeClock(START))
    log.append("w", [shown("heavy", T, 0), shown("heavy", T, 1)])
    log.close()
    log.compact()
    [records] = (tmp_path / "events" / "parquet").rglob("*.parquet")
    rows = pq.read_table(records)
    place = rows.schema.get_field_index("user_key")
    pq.write_table(rows.set_column(place, "user_key", pa.array([""] * rows.num_rows)), records)
    assert [(unit.user_key, unit.searches) for unit in look(log, now_s=1000, window_s=100).heaviest] == [("", 2)]
