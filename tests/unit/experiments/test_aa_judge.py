from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from fakes.made_evidence import made, planned, with_totals
from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.events import Arm
from recflow.config.sections.gate import OnlineGateSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.experiments import aa_judge
from recflow.experiments.aa import AAReport, MetricNoise, aa_report
from recflow.experiments.evidence import Evidence
from recflow.experiments.planning import plan_online

V = Verdict
START = datetime(2011, 1, 5, tzinfo=UTC)
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


@pytest.fixture
def ask(monkeypatch):
    """The judge's verdict for an A/A of 1,000 users with so many users, after so many of its 24 hours."""
    judging = SimpleNamespace(max_judging_hours=24)
    release = SimpleNamespace(users=1000, entered_at=START, plan=SimpleNamespace(judging=judging))

    def ask(users, hours):
        evidence = Evidence(np.arange(users) % 2 == 0, {})
        plan = aa_judge.OnlinePlan(OnlineGateSection(), None, "refresh", 5000, 3200, {})
        monkeypatch.setattr(aa_judge, "plan_release", lambda *_: plan)
        monkeypatch.setattr(aa_judge, "read_release", lambda *_: evidence)
        monkeypatch.setattr(aa_judge, "aa_report", lambda *_: REPORT.model_copy(update={"users": users}))
        return aa_judge.aa_judge(None)(None, release, START + timedelta(hours=hours))

    return ask


def test_it_waits_for_its_users_and_ends_with_them_or_with_its_hours(ask):
    assert ask(999, 23).verdict is V.INCONCLUSIVE
    assert ask(999, 23).reasons == ("999 of 1,000 users, each after the outcome window",)
    assert ask(1000, 1).passed
    assert ask(999, 24).passed


def test_with_nobody_at_its_end_there_is_nothing_to_say(ask):
    assert ask(1, 24).reasons == ("there are fewer than two users in an arm",)


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
