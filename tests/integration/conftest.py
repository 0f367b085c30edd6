"""What integration tests share: one real Triton server for the whole session, and which of them run side by side."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.local_triton import LocalTriton, running_triton

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share them: one has the Spark cluster of the data tests, the other one the Triton server."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.xdist_group("data" if item.path.is_relative_to(FOLDER / "data") else "models"))


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """Share a real server: load under a recipe name of your own, unload what you loaded, kill nothing."""
    with running_triton(tmp_path_factory.mktemp("triton")) as server:
        yield server
