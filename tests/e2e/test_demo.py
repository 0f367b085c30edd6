"""`make demo` as a user starts it: real parts, five days, the tables, the pages, and an end without a trace."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from demo.relevance.story import GIVEN_UP
from e2e.runs import wait_for
from host.airflow import REPOSITORY
from host.processes import Processes
from host.stack import Stack
from recflow.artifacts.plans import ShadowPlan

TIMEOUT_S = 2400
pytestmark = pytest.mark.timeout(TIMEOUT_S + 120)  # above the demo's own limit, so that its end is told


@dataclass(frozen=True)
class Played:
    """The home folder of a demo that runs on, and all that it has said."""

    home: Path
    said: str

    def table(self, title: str) -> list[list[str]]:
        """The rows of a table as it was shown; a cell that goes over several lines gives several rows."""
        rows = self.said.partition(title)[2].partition("└")[0].splitlines()
        return [[cell.strip() for cell in row.strip("│").split("│")] for row in rows if row.startswith("│")]

    def column(self, title: str, number: int) -> list[str]:
        """A column of a table, without the empty cells of long rows."""
        return [row[number] for row in self.table(title) if row[number]]

    def addresses(self) -> dict[str, str]:
        """What is open to be looked at."""
        return dict(re.findall(r" (Airflow|MLflow|gateway|Data Docs) +(\S+://\S+)", self.said))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A detached demo, ended by what `make down` calls; what it said can be read in `said.txt` beside its home."""
    home = tmp_path_factory.mktemp("demo") / "home"
    command = [sys.executable, "-m", "demo", "--detach", "--free-ports", "--home", str(home)]
    try:
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        home.with_name("said.txt").write_text(ended.stdout + ended.stderr, encoding="utf-8")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        yield Played(home, ended.stdout)
    finally:
        Stack(home).stop()
    assert Processes(home / "run").names() == []


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
