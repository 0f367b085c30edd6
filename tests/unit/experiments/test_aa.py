from dataclasses import replace

from fakes.made_evidence import made, planned
from recflow.artifacts.events import Arm
from recflow.config.sections.gate import Guardrail
from recflow.experiments.aa import aa_report

PLAN = planned(planned_users=3000, guardrails=(Guardrail(metric="purchase_rate"), Guardrail(metric="cart_rate")))


def test_equal_arms_raise_few_false_alarms_however_they_are_split():
    report = aa_report(PLAN, made(3000), splits=60)
    assert (report.splits, report.looks) == (60, 5)
    assert max(report.rolled_back, report.promoted_as_better) <= 0.1


def test_each_judged_metric_has_its_noise_and_the_margin_that_so_many_users_show():
    ctr, purchases, carts = aa_report(PLAN, made(3000), splits=1).noise
    assert 0 < ctr.relative_error < ctr.margin < purchases.margin
    assert (carts.metric, carts.relative_error) == ("cart_rate", None)


def test_arms_that_are_no_halves_are_seen():
    assert aa_report(PLAN, replace(made(600), assigned={Arm.TREATMENT: 200, Arm.CONTROL: 400}), splits=1).ratio_p < 1e-6


def test_the_same_evidence_gives_the_same_report():
    evidence = made(1000)
    assert aa_report(PLAN, evidence, splits=3) == aa_report(PLAN, evidence, splits=3)


def test_nobody_yet_is_a_report_that_says_so():
    assert aa_report(PLAN, made(0), splits=2).users == 0
