"""`make demo` as a user starts it: real parts, five days, the tables, the pages, and an end without a trace."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from demo.relevance.story import GIVEN_UP
from e2e.played_demo import TIMEOUT_S, Played, detached_demo
from e2e.runs import wait_for
from recflow.artifacts.plans import ShadowPlan

pytestmark = pytest.mark.timeout(TIMEOUT_S + 120)  # above the demo's own limit, so that its end is told


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with detached_demo(tmp_path_factory.mktemp("demo")) as played:
        yield played


def test_the_five_days_end_as_told(played: Played):
    assert played.column("Releases", 1) == ["stable", "stable", "not released", "held, given up", "rolled_back"]
    assert played.column("nDCG@10", -1) == ["PASS", "PASS", "FAIL", "PASS", "PASS"]


def test_planted_faults_are_quarantined_and_their_reasons_are_shown(played: Played):
    quarantined = [int(number) for number in played.column("Data", 3)]
    assert len(quarantined) == 5
    assert all(quarantined)
    assert played.column("Data", 5)


def test_shadow_holds_the_order_that_deceived_the_offline_gate_and_lets_the_fault_of_the_change_pass(played: Played):
    shadow = {row[0]: row for row in played.table("Shadow") if row[0]}
    assert [(day, row[1], row[-1]) for day, row in shadow.items()] == [
        ("day 2", "refresh", "canary"),
        ("day 4", "refresh", "held"),
        ("day 5", "change", "canary"),
    ]
    assert float(shadow["day 4"][3]) < ShadowPlan().min_tau < float(shadow["day 5"][3])
    reasons = " ".join(played.column("Releases", 2))
    assert "the candidate orders otherwise than stable" in reasons
    assert GIVEN_UP in reasons


def test_the_second_model_serves_because_shoppers_did_not_suffer_and_the_fifth_does_not(played: Played):
    shoppers = played.table("Online gate: simulated clicks")
    arms = [(row[0], row[1]) for row in shoppers if row[1]]
    assert arms == [("day 2", "control"), ("day 2", "treatment"), ("day 5", "control"), ("day 5", "treatment")]
    second = re.search(r"day 2, (\d{4})-(\d\d)-(\d\d)", played.said)
    assert second is not None
    assert f"serving now: {''.join(second.groups())}-" in played.said


def test_the_change_that_looked_good_is_left_because_shoppers_suffered(played: Played):
    assert any(reason.startswith("ctr is worse") for reason in played.column("Releases", 2))


def test_its_pages_answer(played: Played):
    addresses = played.addresses()
    assert set(addresses) == {"Airflow", "MLflow", "gateway", "Data Docs"}
    for name in ("Airflow", "MLflow", "gateway"):
        wait_for(name, lambda url=addresses[name]: answers(url))
    assert "<html" in Path(addresses["Data Docs"].removeprefix("file://")).read_text(encoding="utf-8").lower()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30, follow_redirects=True).is_success
    except httpx.HTTPError:
        return False
