from datetime import timedelta

import pytest

from fakes.fake_event_log import FakeEventLog
from fakes.shoppers import EXPERIMENT, START, crowd, shown
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Arm, Exposure, Fallback
from recflow.config.sections.gate import Guardrail, OnlineGateSection
from recflow.experiments.evidence import Design
from recflow.experiments.gate import judge_online
from recflow.experiments.readers import read_evidence

V = Verdict
T, C = Arm.TREATMENT, Arm.CONTROL
SECTION = OnlineGateSection(planned_users=2000, max_relative_drop=0.1, outcome_window_seconds=120)
CROWDS = {
    "equal": crowd(3000, {T: 0.4, C: 0.4}),
    "better": crowd(3000, {T: 0.5, C: 0.4}),
    "worse": crowd(3000, {T: 0.3, C: 0.4}),
}


def evidence(records, now_s=100_000):
    design = Design("shop_search", EXPERIMENT, START, window=timedelta(seconds=120), slow_factor=1.2)
    return read_evidence(FakeEventLog(records), design, START + timedelta(seconds=now_s))


@pytest.mark.parametrize(
    ("kind", "name", "verdict"),
    [
        ("refresh", "equal", V.PASS),
        ("refresh", "better", V.PASS),
        ("refresh", "worse", V.FAIL),
        ("change", "equal", V.INCONCLUSIVE),
        ("change", "better", V.PASS),
        ("change", "worse", V.FAIL),
    ],
)
def test_a_refresh_must_not_be_worse_and_a_change_must_be_better(kind, name, verdict):
    decision = judge_online(SECTION, kind, evidence(CROWDS[name]))
    assert decision.verdict is verdict, decision.reasons


def test_the_reason_says_both_values_the_interval_and_the_users():
    reason = judge_online(SECTION, "refresh", evidence(CROWDS["worse"])).reasons[0]
    assert "ctr is worse: 0.3" in reason
    assert "3000 users" in reason


def test_few_events_are_not_judged_however_bad_they_look():
    few = judge_online(SECTION, "refresh", evidence(crowd(60, {T: 0.05, C: 0.6})))
    assert few.verdict is V.INCONCLUSIVE
    assert "a look needs 50" in few.reasons[0]


def test_arms_of_unequal_size_hold_the_release():
    halved = [
        record for record in CROWDS["better"] if record.user_key[-1] not in "024" or "v1" in record.model_dump_json()
    ]
    decision = judge_online(SECTION, "refresh", evidence(halved))
    assert decision.verdict is V.INCONCLUSIVE
    assert "differ in size" in decision.numbers["hold"]


def test_a_light_mismatch_is_told_and_does_not_decide():
    extra = [shown(f"x{number}", T, 1) for number in range(108)]
    decision = judge_online(SECTION, "refresh", evidence(CROWDS["better"] + extra))
    assert decision.verdict is V.PASS
    assert any("in treatment" in reason for reason in decision.reasons)


def test_users_in_both_arms_hold_the_release():
    moved = [shown(f"u{number}", arm, 1) for number in range(50) for arm in (T, C)]
    decision = judge_online(SECTION, "refresh", evidence(CROWDS["equal"] + moved))
    assert "in both arms" in decision.numbers["hold"]


def test_the_first_merged_login_does_not_hold_the_release():
    moved = [shown("u1", arm, 1) for arm in (T, C)]
    assert "hold" not in judge_online(SECTION, "refresh", evidence(crowd(30, {T: 0.4, C: 0.4}) + moved)).numbers


def guarded(metric, margin=0.2):
    return SECTION.model_copy(update={"guardrails": (Guardrail(metric=metric, max_relative_drop=margin),)})


def changed(records, **changes):
    return [record.model_copy(update=changes) if getattr(record, "arm", None) is T else record for record in records]


def test_a_candidate_that_hides_behind_fallback_fails_the_guardrail():
    records = changed(CROWDS["better"], fallback=Fallback.ERROR, served_version="v1")
    decision = judge_online(guarded("fallback_rate"), "refresh", evidence(records))
    assert decision.verdict is V.FAIL
    assert "fallback_rate is worse" in decision.reasons[0]


def test_a_candidate_that_stale_routes_kept_from_everybody_is_not_judged():
    records = [
        record.model_copy(update={"fallback": Fallback.STALE_ROUTES, "served_version": "v1"})
        if isinstance(record, Exposure)
        else record
        for record in CROWDS["equal"]
    ]
    decision = judge_online(guarded("fallback_rate"), "refresh", evidence(records))
    assert decision.verdict is V.INCONCLUSIVE
    assert "0 events" in decision.reasons[0]


def test_no_fallback_at_all_holds_the_guardrail():
    assert judge_online(guarded("fallback_rate"), "refresh", evidence(CROWDS["better"])).verdict is V.PASS


def test_a_slow_candidate_fails_the_guardrail_and_an_equal_one_does_not():
    slow = judge_online(guarded("p95_ms"), "refresh", evidence(changed(CROWDS["better"], latency_ms=30.0)))
    assert slow.verdict is V.FAIL
    assert judge_online(guarded("p95_ms"), "refresh", evidence(CROWDS["better"])).verdict is V.PASS


def test_a_guardrail_without_events_in_control_is_undecided():
    decision = judge_online(guarded("purchase_rate"), "refresh", evidence(CROWDS["better"]))
    assert decision.verdict is V.INCONCLUSIVE
    assert "purchase_rate" in decision.reasons[0]


def test_no_evidence_is_inconclusive():
    assert judge_online(SECTION, "refresh", evidence([])).verdict is V.INCONCLUSIVE
