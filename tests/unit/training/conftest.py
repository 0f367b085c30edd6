import pytest
import torch

from fakes.small_models import tiny_base


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Threads that wait for each other cost more than they bring on a tiny encoder, and most on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
