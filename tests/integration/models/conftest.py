import pytest

from fakes.trained_line import train_line


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """One real fine-tuning, compressed, for the whole session: read it, publish beside it, change nothing of it."""
    return train_line(tmp_path_factory.mktemp("trained"))
