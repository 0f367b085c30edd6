from datetime import timedelta

from fakes.fake_event_log import FakeEventLog
from fakes.shoppers import EXPERIMENT, START, crowd
from recflow.artifacts.events import Arm
from recflow.config.sections.gate import OnlineGateSection
from recflow.experiments.evidence import Design
from recflow.experiments.readers import read_evidence
from recflow.experiments.report import as_text, summarise

SECTION = OnlineGateSection(planned_users=600)


def report(users):
    log = FakeEventLog(crowd(users, {Arm.TREATMENT: 0.6, Arm.CONTROL: 0.2}))
    design = Design("shop_search", EXPERIMENT, START, window=timedelta(seconds=120))
    return summarise(SECTION, read_evidence(log, design, START + timedelta(days=1)))


def test_the_table_has_a_row_an_arm_with_its_interval():
    shown = report(600)
    control, treatment = shown.arms
    assert control.low < 0.2 < control.high < treatment.low < 0.6 < treatment.high
    assert control.users + treatment.users == 600
    assert as_text(shown).splitlines()[0].split()[:3] == ["arm", "users", "searches"]
    assert "treatment against control: +" in as_text(shown)


def test_nobody_yet_is_no_report():
    assert report(0) is None
