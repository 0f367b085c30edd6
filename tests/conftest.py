"""What every tier of tests shares: the tier's marker and time limit, a quiet environment, and the real data.

The folder decides the tier: tests/unit, tests/integration, tests/e2e, tests/proof. Fakes are imported from `fakes`.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from host.own_process import end_like_ctrl_c, forget_settings

REPOSITORY = Path(__file__).resolve().parent.parent
TESTS = REPOSITORY / "tests"

# Far above what a test of the tier takes: a limit ends a hang with a traceback, it does not judge speed.
TIME_LIMIT_S = {"unit": 60, "integration": 300, "e2e": 1_200, "proof": 14_400}


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before a test module imports anything that reads it; end with teardowns when told to."""
    end_like_ctrl_c()
    forget_settings()
    for line in (REPOSITORY / "bin" / "quiet.env").read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            os.environ.setdefault(name, value)
    if "AIRFLOW_HOME" not in os.environ or hasattr(config, "workerinput"):
        # Importing Airflow writes a configuration file to its home; each process that runs tests has one of its own.
        config.airflow_home = os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="recflow-tests-airflow-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(getattr(config, "airflow_home", ""), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tier = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if tier not in TIME_LIMIT_S:
            continue
        if tier != "unit":
            item.add_marker(tier)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIME_LIMIT_S[tier]))


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """Give the folder of one shared real data set by name; skip without it, fail where the data was promised.

    RECFLOW_DATA says where the data sets are (default: shared/data beside the checkout). RECFLOW_REQUIRE_DATA=1 turns a
    skip into a failure, so that CI cannot pass by seeing nothing.
    """
    root = Path(os.environ.get("RECFLOW_DATA") or REPOSITORY.parent / "shared" / "data")

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            message = f"the data set {name} is not under {root}: set RECFLOW_DATA to the folder that holds it"
            if os.environ.get("RECFLOW_REQUIRE_DATA") == "1":
                pytest.fail(message)
            pytest.skip(message)
        return folder

    return find


@pytest.fixture(scope="session")
def crowdflower_folder(data_folder: Callable[[str], Path]) -> Path:
    """Query and product pairs with relevance judgments by people: the data the search lines are tested on."""
    return data_folder("crowdflower-search-relevance")
