from dataclasses import replace

import numpy as np

from fakes.made_evidence import made, planned
from recflow.artifacts.events import Arm
from recflow.experiments.evidence import Evidence, HeavyUnit
from recflow.experiments.report import as_text, summarise

PLAN = planned(planned_users=2000)


def test_the_table_has_a_row_an_arm_with_its_interval():
    shown = summarise(PLAN, made(2000, rate=0.2, effect=2.5))
    control, treatment = shown.arms
    assert control.low < 0.2 < control.high < treatment.low < treatment.high
    assert control.users + treatment.users == 2000
    assert as_text(shown).splitlines()[0].split()[:3] == ["arm", "users", "searches"]
    assert "treatment against control, adjusted: +" in as_text(shown)


def test_a_person_reads_each_rule_who_is_heaviest_who_was_left_out_and_which_outcomes_belong_nowhere():
    evidence = replace(
        made(2000),
        heaviest=(HeavyUnit("u7", Arm.CONTROL, 6000, 0.7, program=True),),
        programs={Arm.CONTROL: 1},
        matched=90,
        unmatched={"not_shown": 10},
        collisions=3,
    )
    text = as_text(summarise(PLAN, evidence))
    assert "most searches: u7 6,000 (70.0% of control, left out as a program)" in text
    assert "users that search like programs are left out: 1 in control" in text
    assert "10.0% of 100 outcomes belong to no answer: not_shown 10" in text
    assert "3 outcome ids stood for several acts; each act counts" in text


def test_nobody_yet_is_no_report():
    assert summarise(PLAN, Evidence(np.zeros(0, dtype=bool), {})) is None


def test_sums_that_are_no_number_are_a_report_that_says_so():
    evidence = made(600)
    broken = {**evidence.totals, "count:click": np.full(600, np.inf)}
    text = as_text(summarise(planned(), replace(evidence, totals=broken)))
    assert "no number (no number … no number)" in text
    assert "held: what was reported adds up to no number: count:click" in text
