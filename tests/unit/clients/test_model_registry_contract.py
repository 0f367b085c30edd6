import pytest

from fakes.fake_registry import FakeRegistry
from fakes.model_registry_suite import ModelRegistrySuite


class TestFakeRegistry(ModelRegistrySuite):
    @pytest.fixture(params=["memory_fake"])
    def registry(self):
        return FakeRegistry()
