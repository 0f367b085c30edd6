"""What every ModelServer keeps. Here the fake; tests/integration/clients runs the same suite on a real Triton."""

import pytest

from fakes.fake_server import FakeModelServer
from fakes.model_server_suite import ModelServerSuite


class TestFakeModelServer(ModelServerSuite):
    @pytest.fixture(params=["fake"])
    def server(self):
        return FakeModelServer()
