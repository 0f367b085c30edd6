from dataclasses import replace

import numpy as np
import pytest

from fakes.made_evidence import made, planned, with_totals
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Arm
from recflow.config.sections.gate import Guardrail, OnlineSlice
from recflow.config.sections.outcomes import OutcomeKind, OutcomeMetric, OutcomesSection
from recflow.experiments.evidence import Evidence
from recflow.experiments.gate import judge_online

V = Verdict
T, C = Arm.TREATMENT, Arm.CONTROL
SECTION = {"planned_users": 2000, "max_relative_drop": 0.1}
EQUAL, BETTER, WORSE = made(3000), made(3000, effect=1.25), made(3000, effect=0.75)


def judge(evidence, kind="refresh", **section):
    return judge_online(planned(kind, **{**SECTION, **section}), evidence)


def guarded(metric, evidence, mode="auto", margin=0.2):
    return judge(evidence, guardrails=(Guardrail(metric=metric, max_relative_drop=margin, mode=mode),))


def finding(decision, rule):
    return next(found for found in decision.findings if found.rule == rule)


@pytest.mark.parametrize(
    ("kind", "evidence", "verdict"),
    [
        ("refresh", EQUAL, V.PASS),
        ("refresh", BETTER, V.PASS),
        ("refresh", WORSE, V.FAIL),
        ("change", EQUAL, V.INCONCLUSIVE),
        ("change", BETTER, V.PASS),
        ("change", WORSE, V.FAIL),
    ],
)
def test_a_refresh_must_not_be_worse_and_a_change_must_be_better(kind, evidence, verdict):
    decision = judge(evidence, kind)
    assert decision.verdict is verdict, decision.reasons


def test_the_reason_says_what_was_seen_the_adjusted_difference_and_the_users():
    [reason] = judge(EQUAL).reasons or [finding(judge(EQUAL), "ctr").reason]
    control = EQUAL.totals["count:click"][~EQUAL.treated].sum() / EQUAL.totals["searches"][~EQUAL.treated].sum()
    assert f"against {control:.4g}, adjusted " in reason
    assert "3,000 users" in reason


def test_a_harm_is_told_at_the_planned_look_that_showed_it_and_stays_told():
    decision = judge(replace_tail(WORSE, BETTER), "refresh")
    assert decision.verdict is V.FAIL
    assert "ctr is worse at the look for harm at" in decision.reasons[0]


def replace_tail(first, then, users=2000):
    """The first users of one experiment, and then those of another."""
    totals = {name: np.r_[first.totals[name][:users], then.totals[name][users:]] for name in first.totals}
    return replace(first, totals=totals)


def test_few_events_are_not_judged_however_bad_they_look():
    few = judge(made(100, effect=0.1))
    assert few.verdict is V.INCONCLUSIVE
    assert "a look needs 50" in few.reasons[0]


def test_one_unit_alone_does_not_make_enough_events_to_judge_by():
    few = made(100)
    clicks = few.totals["count:click"].copy()
    clicks[3] = 5000
    decision = judge(with_totals(few, count_click=clicks), min_events_per_arm=60)
    assert "a look needs 60" in decision.reasons[0]


def test_a_candidate_that_ends_all_clicks_fails_though_its_own_arm_has_no_events():
    assert judge(made(3000, effect=0.0)).verdict is V.FAIL


def test_revenue_needs_as_many_events_as_any_metric_and_not_as_much_money():
    decision = judge(made(300, purchases=0.01), success_metric="revenue_per_user")
    assert decision.verdict is V.INCONCLUSIVE
    assert "events in an arm, a look needs 50" in decision.reasons[0]


def test_arms_of_unequal_size_hold_the_release():
    decision = judge(replace(BETTER, assigned={T: 1500, C: 900}))
    assert decision.verdict is V.INCONCLUSIVE
    assert "differ in size" in decision.numbers["hold"]


def test_a_light_mismatch_is_told_and_does_not_decide():
    decision = judge(replace(BETTER, assigned={T: 1610, C: 1390}))
    assert decision.verdict is V.PASS
    assert any("in treatment" in reason for reason in decision.reasons)


def test_users_in_both_arms_hold_the_release():
    assert "in both arms" in judge(replace(EQUAL, in_both=60)).numbers["hold"]


def test_the_first_merged_login_does_not_hold_the_release():
    assert "hold" not in judge(replace(made(30), in_both=1)).numbers


# -------------------------------------------------------------------------------------------------------- guardrails
def test_a_candidate_that_hides_behind_fallback_fails_the_guardrail():
    fallen = with_totals(BETTER, fallbacks=np.where(BETTER.treated, BETTER.totals["searches"], 0.0))
    decision = guarded("fallback_rate", fallen)
    assert decision.verdict is V.FAIL
    assert "fallback_rate is worse" in decision.reasons[0]


def test_no_fallback_at_all_holds_the_guardrail():
    assert guarded("fallback_rate", BETTER).verdict is V.PASS


def test_a_slow_candidate_fails_the_guardrail_and_an_equal_one_does_not():
    slow = with_totals(BETTER, slow=np.where(BETTER.treated, BETTER.totals["searches"], 0.0))
    assert guarded("p95_ms", slow).verdict is V.FAIL
    assert guarded("p95_ms", BETTER).verdict is V.PASS


def test_a_guardrail_that_nobody_reports_is_named_with_what_to_do():
    silent = with_totals(EQUAL, count_purchase=np.zeros(3000), value_purchase=np.zeros(3000))
    decision = guarded("purchase_rate", silent)
    assert decision.verdict is V.INCONCLUSIVE
    assert decision.reasons[0] == (
        "purchase_rate: no purchase has been reported, by none of 3,000 users, nor before the start: let the shop send "
        "it, or take purchase_rate out of online_gate"
    )


def fewer_purchases(users, factor, seed=5):
    """Purchases of 3 % of searches, and less of them in treatment."""
    evidence, random = made(users, seed=seed), np.random.default_rng(seed)
    bought = random.binomial(evidence.totals["searches"].astype(int), np.where(evidence.treated, factor, 1) * 0.03)
    return with_totals(evidence, count_purchase=bought.astype(float))


def test_a_guardrail_that_is_judged_once_is_not_judged_before_the_planned_users_are_in():
    early = guarded("purchase_rate", fewer_purchases(1900, 0.0), "not_shown_worse")
    assert early.verdict is V.INCONCLUSIVE
    assert "purchase_rate is judged once, at 2,000 users (1,900 so far)" in finding(early, "purchase_rate").reason


def test_a_guardrail_that_is_judged_once_keeps_stable_when_it_may_be_worse_and_never_rolls_back():
    decision = guarded("purchase_rate", fewer_purchases(3000, 0.0), "not_shown_worse")
    assert decision.verdict is V.INCONCLUSIVE
    assert "may be worse, which keeps stable" in decision.numbers["settled"]


def test_a_guardrail_that_is_judged_once_is_judged_by_the_planned_users_whatever_comes_later():
    decisions = [
        guarded("purchase_rate", evidence, "not_shown_worse", 0.4)
        for evidence in (fewer_purchases(3000, 1.0).first(2000), fewer_purchases(3000, 1.0))
    ]
    [said] = {finding(decision, "purchase_rate").reason for decision in decisions}
    assert "judged once, at 2,000 users" in said


def test_the_mode_of_a_guardrail_is_chosen_by_both_arms_together_where_there_is_no_earlier_traffic():
    assert "judged once" in finding(guarded("purchase_rate", fewer_purchases(1000, 1.0)), "purchase_rate").reason
    often = finding(guarded("cart_rate", with_totals(EQUAL, count_cart=EQUAL.totals["searches"])), "cart_rate")
    assert "holds (margin 20.0%)" in often.reason


def test_before_so_many_users_have_come_no_mode_is_chosen_and_nothing_passes():
    decision = guarded("purchase_rate", made(300))
    assert decision.verdict is V.INCONCLUSIVE
    assert "chosen by both arms together at 400 users" in finding(decision, "purchase_rate").reason


def test_less_of_a_metric_of_which_less_is_better_is_no_harm():
    outcomes = OutcomesSection(
        kinds=(OutcomeKind(name="click"), OutcomeKind(name="complaint")),
        metrics=(
            OutcomeMetric(name="ctr", kind="click"),
            OutcomeMetric(name="complaints", kind="complaint", better="less"),
        ),
    )
    rules = (Guardrail(metric="complaints", max_relative_drop=0.2, mode="shown_to_hold"),)
    plan = replace(planned("refresh", **SECTION, guardrails=rules), outcomes=outcomes)
    searches = EQUAL.totals["searches"]
    fewer = with_totals(EQUAL, count_complaint=np.where(EQUAL.treated, 0.5, 1.0) * searches)
    more = with_totals(EQUAL, count_complaint=np.where(EQUAL.treated, 1.0, 0.5) * searches)
    assert [judge_online(plan, evidence).verdict for evidence in (fewer, more)] == [V.PASS, V.FAIL]


# ------------------------------------------------------------------------------------------------------------ slices
def sliced(evidence, share):
    """A slice of long lists in which treatment has lost all clicks, with this share of the users in it."""
    inside = np.arange(evidence.users) % 100 < share * 100
    part = {name: np.where(inside, values, 0.0) for name, values in evidence.totals.items()}
    part["count:click"] = np.where(evidence.treated, 0.0, part["count:click"])
    return judge(replace(evidence, slices={"long_lists": part}), slices=(OnlineSlice(name="long_lists"),))


def test_a_slice_that_is_worse_stops_a_candidate_that_is_better_over_all():
    decision = sliced(BETTER, 0.2)
    assert decision.verdict is V.FAIL
    assert "ctr of long_lists is worse" in decision.reasons[0]


def test_a_thin_slice_is_shown_as_not_evaluated_and_stops_nothing():
    decision = sliced(BETTER, 0.02)
    assert decision.verdict is V.PASS
    assert finding(decision, "ctr:long_lists").verdict is V.NOT_EVALUATED


# ------------------------------------------------------------------------------------------------- one unit, one number
@pytest.mark.parametrize("per_minute", [19, 100, 400])
@pytest.mark.parametrize(("rate", "treated", "wrong"), [(1.0, True, V.FAIL), (0.7, False, V.PASS)])
def test_one_program_decides_nothing(per_minute, rate, treated, wrong):
    """Half an hour of searches without a click, in the arm that they help to the wrong verdict."""
    evidence = made(1200, effect=rate)
    program = int(np.flatnonzero(evidence.treated == treated)[0])
    searches, clicks = evidence.totals["searches"].copy(), evidence.totals["count:click"].copy()
    searches[program], clicks[program] = 30 * per_minute, 0
    alone, beside = judge(evidence), judge(with_totals(evidence, searches=searches, count_click=clicks))
    assert beside.verdict is not wrong
    assert beside.verdict is alone.verdict


def test_totals_that_are_no_number_hold_the_release_and_say_which():
    values = EQUAL.totals["value:purchase"].copy()
    values[5] = np.inf
    decision = guarded("revenue_per_user", with_totals(EQUAL, value_purchase=values))
    assert decision.verdict is V.INCONCLUSIVE
    assert "value:purchase" in decision.numbers["hold"]


def test_finite_values_whose_sums_are_no_number_hold_the_release_as_well():
    values = np.full(3000, 1e307)
    decision = guarded("revenue_per_user", with_totals(EQUAL, value_purchase=values))
    assert "revenue_per_user cannot be computed" in decision.numbers["hold"]


def test_acts_after_the_window_are_shown_and_are_no_fault():
    decision = judge(replace(BETTER, matched=1000, unmatched={"after_window": 5000, "not_shown": 10}))
    found = finding(decision, "unmatched")
    assert (found.verdict, found.n, round(found.value, 4)) == (V.PASS, 10, 0.0099)
    assert "after_window 5,000" in found.reason


def test_outcomes_that_belong_to_no_answer_are_told_above_a_share_by_reason():
    unmatched = {"not_shown": 300, "other_user": 1}
    decision = judge(replace(BETTER, matched=1000, unmatched=unmatched))
    assert decision.verdict is V.PASS
    assert decision.reasons[-1] == "23.1% of 1,301 outcomes belong to no answer: not_shown 300, other_user 1"


def test_programs_that_were_left_out_are_told_by_arm():
    assert "left out: 2 in control, 1 in treatment" in judge(replace(BETTER, programs={T: 1, C: 2})).reasons[-1]


def test_no_evidence_is_inconclusive():
    assert judge(Evidence(np.zeros(0, dtype=bool), {})).verdict is V.INCONCLUSIVE
