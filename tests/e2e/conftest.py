"""One boot for all: a whole installation on free ports, and what its first hours leave behind."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from e2e.pages import FLAGS
from e2e.runs import Runs, create_backfill, wait_for
from e2e.shoppers import Shoppers
from e2e.small_host import RELEASE, RETRAIN, Days, open_shop
from host.stack import Stack
from recflow.clients.triton_home import TritonHome


@pytest.fixture(scope="module")
def days() -> Days:
    return Days.now()


@pytest.fixture(scope="module")
def stack(days: Days, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Triton, gateway and Airflow; whatever the tests do to them, nothing is left at the end."""
    stack = open_shop(tmp_path_factory.mktemp("host"), days)
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def runs(stack: Stack) -> Runs:
    return Runs(stack)


@pytest.fixture(scope="module")
def scheduled_run(runs: Runs) -> str:
    """The id of the retrain that nobody triggered, once it is over."""
    run = wait_for("a scheduled run", lambda: runs.of(RETRAIN, run_type="scheduled"))[0]
    assert runs.finish(RETRAIN, run["dag_run_id"]) == "success"
    return str(run["dag_run_id"])


@pytest.fixture(scope="module")
def first_release(runs: Runs, scheduled_run: str) -> str:
    """The id of the release run that the candidate of the scheduled run woke, once it is over."""
    run = wait_for("a release", lambda: runs.of(RELEASE, run_type="asset_triggered"))[0]
    assert runs.finish(RELEASE, run["dag_run_id"]) == "success"
    return str(run["dag_run_id"])


@pytest.fixture(scope="module")
def backfilled(runs: Runs, stack: Stack, days: Days, first_release: str) -> list[str]:
    """Runs of three past days, asked for on the command line; the triggerer is killed while they train."""
    create_backfill(stack, days.past[0], days.scheduled, "failed")
    started = wait_for("three runs", lambda: _three(runs.of(RETRAIN, run_type="backfill")))
    wait_for("a task that waits for its job", lambda: _deferred(runs, started))
    keeper = psutil.Process(stack.processes.pid("airflow-triggerer"))
    (triggerer,) = keeper.children()
    triggerer.kill()
    assert runs.finish_all(RETRAIN, started) == {"success"}
    wait_for("the end of the backfill", lambda: runs.backfills_are_over(RETRAIN))
    return list(started)


def _three(found: list[dict[str, Any]]) -> list[str]:
    return [run["dag_run_id"] for run in found] if len(found) == 3 else []


def _deferred(runs: Runs, started: list[str]) -> bool:
    return any("deferred" in runs.states(RETRAIN, run).values() for run in started)


@dataclass
class Crowded:
    """What happened while the same retrain was started twice and its release was hit by a crash of Triton."""

    retrains: list[str]
    shoppers: Shoppers
    candidate: str = ""
    release_runs: list[str] = field(default_factory=list)
    restarts: int = 0


@pytest.fixture(scope="module")
def crowded(runs: Runs, stack: Stack, days: Days, first_release: str) -> Crowded:
    """The next day's retrain twice at once; its release among shoppers, with Triton killed in the canary."""
    before = len(runs.of(RELEASE))
    retrains = [runs.trigger(RETRAIN, days.following) for _ in range(2)]
    assert runs.finish_all(RETRAIN, retrains) == {"success"}
    with Shoppers(stack.gateway_url) as shoppers:
        told = Crowded(retrains, shoppers)
        wait_for("the canary", lambda: (release := runs.state.release) and release.state == "canary")
        told.candidate = runs.state.release.candidate.version
        home = TritonHome(stack.home)
        os.kill(home.read().server_pid, 9)
        wait_for("Triton's return", lambda: (now := home.read()) and now.ready and now.restarts)
        told.restarts = home.read().restarts
        wait_for("the end of the release", lambda: runs.state.release is None)
        told.release_runs = [run["dag_run_id"] for run in runs.of(RELEASE)[before:]]
        assert runs.finish_all(RELEASE, told.release_runs) == {"success"}
    return told


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium of the system; the test is left out where it cannot be installed, and fails where it was promised."""
    from playwright.sync_api import sync_playwright

    path = next((path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None)
    if path is None:
        message = "Chromium is not installed: sudo apt-get install chromium"
        if os.environ.get("RECFLOW_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, stack: Stack, tmp_path: Path) -> Iterator[Any]:
    """A page of Airflow, photographed at the end of the test, however it ends."""
    page = browser.new_page(base_url=stack.airflow.url, viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(90_000)
    yield page
    page.screenshot(path=tmp_path / "at-the-end.png")
    page.close()


@pytest.fixture
def shot(page: Any, tmp_path: Path) -> Any:
    """Photograph the page as it is now into the test's folder."""
    numbers = count(1)
    return lambda name: page.screenshot(path=tmp_path / f"{next(numbers)}-{name}.png")
