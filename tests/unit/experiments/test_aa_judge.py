from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from fakes.fake_event_log import FakeEventLog
from fakes.made_evidence import made, planned, with_totals
from fakes.release_world import ReleaseWorld
from fakes.shoppers import shown
from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.events import Arm
from recflow.config.sections.gate import OnlineGateSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.experiments import aa_judge
from recflow.experiments.aa import AAReport, MetricNoise, aa_report
from recflow.experiments.evidence import Evidence
from recflow.experiments.planning import plan_online
from recflow.rollout.operations import start_aa

V = Verdict
REPORT = AAReport(
    decision=Decision(
        gate="online_gate",
        verdict=V.FAIL,
        reasons=("ctr is worse",),
        findings=(Finding(rule="ctr", verdict=V.FAIL, reason="ctr is worse"),),
    ),
    users=20_000,
    ratio_p=0.4,
    alpha=0.05,
    splits=200,
    looks=5,
    rolled_back=0.03,
    promoted_as_better=0.02,
    noise=(
        MetricNoise(metric="ctr", relative_error=0.02, margin=0.06),
        MetricNoise(metric="cart_rate", relative_error=None, margin=None),
    ),
)


def decide(**changes):
    return aa_judge.aa_decision(OnlineGateSection(), REPORT.model_copy(update=changes))


def test_a_judge_that_keeps_its_level_is_trusted_although_this_pair_of_arms_erred():
    decision = decide()
    assert decision.passed
    assert decision.reasons == (
        "20,000 users in two equal arms: 3.0% rolled back and 2.0% promoted as better in 200 splits of them",
    )
    told = {finding.rule: finding for finding in decision.findings}
    assert (told["arms"].verdict, told["arms"].blocking) == (V.FAIL, False)
    assert "so many users can show a margin of 6.0%" in told["noise of ctr"].reason
    assert told["noise of cart_rate"].reason == "cart_rate: nobody has reported it"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rolled_back": 0.1}, "rolled back in 10.0%"),
        ({"promoted_as_better": 0.1}, "promoted as better in 10.0%"),
        ({"ratio_p": 0.0009}, "the arms differ in size"),
    ],
)
def test_false_alarms_beyond_chance_and_unequal_arms_are_what_fails_it(changes, reason):
    decision = decide(**changes)
    assert decision.verdict is V.FAIL
    assert [reason in told for told in decision.reasons] == [True]


def test_false_alarms_within_the_chance_of_so_many_splits_fail_nothing():
    assert decide(rolled_back=0.09).passed


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (replace(with_totals(made(300), count_click=np.zeros(300)), before={}), "no click has been reported"),
        (made(20), "a look needs 50"),
        (with_totals(made(300), count_click=np.full(300, np.inf)), "adds up to no number"),
    ],
)
def test_a_judge_that_had_nothing_to_judge_by_is_not_trusted_for_its_silence(evidence, reason):
    plan = planned(planned_users=300)
    decision = aa_judge.aa_decision(plan.section, aa_report(plan, evidence, splits=5))
    assert decision.verdict is V.INCONCLUSIVE
    assert reason in decision.reasons[0]


@pytest.mark.parametrize(("users", "over", "ended"), [(999, False, False), (1000, False, True), (999, True, True)])
def test_it_waits_for_its_users_and_ends_with_them_or_with_its_hours(users, over, ended):
    decision = aa_judge.judge_aa(planned(planned_users=1000), made(users), over=over)
    assert decision.passed is ended
    assert ended or decision.reasons == ("999 of 1,000 users, each after the outcome window",)


def test_with_nobody_at_its_end_there_is_nothing_to_say():
    decision = aa_judge.judge_aa(planned(planned_users=1000), made(1), over=True)
    assert decision.reasons == ("there are fewer than two users in an arm",)


def test_its_users_and_hours_are_those_that_it_was_started_with(tmp_path):
    world = ReleaseWorld(tmp_path)
    world.stable(1)
    release = start_aa(world.recipe, world.true_ledger, world.clock.now(), person="ada", users=50, hours=24).release
    arms = (Arm.TREATMENT, Arm.CONTROL)
    searches = [
        shown(f"u{n}", arms[n % 2], 0, at=release.entered_at, experiment=f"{release.release_id}:judging")
        for n in range(40)
    ]  # fmt: skip
    judge = aa_judge.aa_judge(FakeEventLog(searches))
    waits = ("40 of 50 users, each after the outcome window",)
    assert judge(world.recipe, release, release.entered_at + timedelta(hours=23)).reasons == waits
    assert judge(world.recipe, release, release.entered_at + timedelta(hours=24)).reasons != waits


def test_equal_arms_through_the_real_report_are_trusted_and_unequal_ones_are_not():
    numbers = np.random.default_rng(20110101)
    searches = 1.0 + numbers.poisson(1.2, 2000)
    clicks = numbers.binomial(searches.astype(int), 0.3).astype(float)
    totals = {"searches": searches, "count:click": clicks, "value:click": 0 * clicks, "fallbacks": 0 * clicks}
    plan = plan_online(OnlineGateSection(planned_users=2000), OutcomesSection(), "refresh", None)
    halves = Evidence(numbers.random(2000) < 0.5, totals, assigned={Arm.TREATMENT: 1000, Arm.CONTROL: 1000})
    assert aa_judge.aa_decision(plan.section, aa_report(plan, halves, splits=20)).passed
    lopsided = replace(halves, assigned={Arm.TREATMENT: 1200, Arm.CONTROL: 800})
    decision = aa_judge.aa_decision(plan.section, aa_report(plan, lopsided, splits=20))
    assert ["differ in size" in reason for reason in decision.reasons] == [True]
