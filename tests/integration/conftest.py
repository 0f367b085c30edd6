"""What integration tests share: one real Triton server for the whole session, and which of them run side by side."""

from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from fakes.local_triton import LocalTriton, running_triton


class SideBySide(LoadScopeScheduling):
    """Two processes share the tests: one has the Spark cluster of the data tests, the other one the Triton server."""

    def _split_scope(self, nodeid: str) -> str:
        return "data" if nodeid.startswith("tests/integration/data/") else "models"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Marks of xdist 3.8 for groups do nothing beside pytest 9.2."""
    return SideBySide(config, log)


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """Share a real server: load under a recipe name of your own, unload what you loaded, kill nothing."""
    with running_triton(tmp_path_factory.mktemp("triton")) as server:
        yield server
