import pytest

from fakes.model_server_suite import ModelServerSuite
from recflow.clients.triton import TritonServer


class TestTritonServer(ModelServerSuite):
    @pytest.fixture(params=["real_triton"])
    def server(self, triton):
        return TritonServer(triton.settings)
