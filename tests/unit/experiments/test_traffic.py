from datetime import timedelta

import pytest

from fakes.fake_event_log import FakeEventLog
from fakes.shoppers import START, acted, shown
from recflow.artifacts.events import Arm, Fallback
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import OnlineGateSection
from recflow.experiments.traffic import read_traffic

RECIPE = Recipe(name="shop_search", owner="search", online_gate=OnlineGateSection(outcome_window_seconds=100))
NOW = START + timedelta(hours=1)


def read(*records, hours=1.0):
    return read_traffic(FakeEventLog(records), RECIPE, NOW, hours)


def test_shoppers_of_the_hours_before_are_counted_once_each():
    traffic = read(shown("u", Arm.STABLE, 10), shown("u", Arm.STABLE, 20), shown("v", Arm.STABLE, 30))
    assert (traffic.users, traffic.hours, traffic.sample.users) == (2, 1.0, 2)
    assert sorted(traffic.sample.totals["searches"]) == [1, 2]


def test_what_counts_is_what_they_did_within_their_first_window():
    first, late = shown("u", Arm.STABLE, 10, experiment=""), shown("u", Arm.STABLE, 500)
    bought = acted(first, 50, "purchase", value=7.0)
    totals = read(first, late, acted(first, 5), bought, acted(first, 300, item_id="i1")).sample.totals
    assert [totals[name].tolist() for name in ("searches", "count:click", "value:purchase")] == [[1], [1], [7]]


@pytest.mark.parametrize(
    "exposure",
    [
        shown("u", Arm.STABLE, -10),
        shown("u", Arm.STABLE, 3_550),
        shown("u", Arm.STABLE, 10, marked="bot"),
        shown("u", Arm.STABLE, 10, fallback=Fallback.STALE_ROUTES),
    ],
    ids=["before the hours", "window still open", "bot", "stale routes"],
)
def test_who_is_no_evidence_in_an_experiment_is_none_before_it(exposure):
    assert read(exposure) is None
