from datetime import timedelta

import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.shoppers import START, crowd, shown
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.events import Arm
from recflow.artifacts.ledger import Candidate, OpenRelease, ReleaseState
from recflow.artifacts.plans import Plan
from recflow.artifacts.refs import Ref, RefKind
from recflow.clients.event_log import DuckEventLog
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import OnlineGateSection
from recflow.experiments.gate import online_judge, plan_release

RECIPE = Recipe(
    name="shop_search",
    owner="search",
    online_gate=OnlineGateSection(outcome_window_seconds=120, max_relative_drop=0.2, planned_users=1000),
)
PACKAGE = Ref(kind=RefKind.PACKAGE, uri="memory://store/v2", digest=digest_bytes(b"v2"))
RELEASE = OpenRelease(
    release_id="release-1-v2",
    candidate=Candidate(version="v2", package=PACKAGE, interval_label="2011-01-04", trained_through=START),
    plan=Plan(kind="refresh"),
    state=ReleaseState.JUDGING,
    opened_at=START,
    entered_at=START,
)


@pytest.mark.parametrize(("rate", "verdict"), [(0.6, Verdict.PASS), (0.3, Verdict.FAIL)])
def test_a_release_is_judged_by_its_own_experiment_in_the_event_log(rate, verdict):
    events = FakeEventLog(crowd(800, {Arm.TREATMENT: rate, Arm.CONTROL: 0.6}))
    assert online_judge(events)(RECIPE, RELEASE, START + timedelta(hours=2)).verdict is verdict


def test_the_plan_follows_from_what_came_before_the_release_and_never_from_the_experiment():
    before = [shown(f"b{number}", Arm.STABLE, -7200 + number, experiment="") for number in range(150)]
    recipe = RECIPE.model_copy(update={"online_gate": RECIPE.online_gate.model_copy(update={"planned_users": None})})
    alone, running = FakeEventLog(before), FakeEventLog([*before, *crowd(300, {Arm.TREATMENT: 0.6, Arm.CONTROL: 0.6})])
    plans = [plan_release(events, recipe, RELEASE) for events in (alone, running)]
    assert [plan.planned_users for plan in plans] == [150, 150]


@pytest.mark.parametrize(
    "make",
    [lambda _: FakeEventLog(), lambda folder: DuckEventLog(folder, FakeClock(START))],
    ids=["fake", "real"],
)
def test_a_clock_that_was_put_back_before_the_start_waits_for_evidence(tmp_path, make):
    events = make(tmp_path)
    events.append("w", crowd(800, {Arm.TREATMENT: 0.3, Arm.CONTROL: 0.6}))
    assert online_judge(events)(RECIPE, RELEASE, START - timedelta(hours=1)).verdict is Verdict.INCONCLUSIVE
