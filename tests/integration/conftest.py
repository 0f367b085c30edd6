"""What integration tests share: one real Triton server for the whole session."""

from collections.abc import Iterator

import pytest

from fakes.local_triton import LocalTriton, running_triton


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """Share a real server: load under a recipe name of your own, unload what you loaded, kill nothing."""
    with running_triton(tmp_path_factory.mktemp("triton")) as server:
        yield server
