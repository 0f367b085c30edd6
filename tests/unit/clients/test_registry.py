"""What the registry on MLflow does beyond its suite, with a double in place of MLflow's client."""

import os
from types import SimpleNamespace

from recflow.clients.registry import MlflowRegistry


class Client:
    """MLflow's client with one line: version 1 is ours, somebody registered version 2 by hand."""

    def search_registered_models(self, query):
        return [SimpleNamespace(aliases={"champion": "1", "by-hand": "2"})]

    def search_model_versions(self, query, max_results):
        ours, theirs = {"recflow.version": "20110101-abc"}, {}
        return [SimpleNamespace(version=1, tags=ours), SimpleNamespace(version=2, tags=theirs)]


def test_an_alias_of_a_version_that_somebody_registered_by_hand_is_left_aside():
    registry = MlflowRegistry("http://mlflow.example")
    registry.__dict__["_client"] = Client()
    assert registry.aliases("search") == {"champion": "20110101-abc"}


def test_mlflow_waits_seconds_for_a_server_that_hangs_unless_the_environment_says_otherwise(monkeypatch):
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    assert MlflowRegistry("http://mlflow.example")._client
    assert (os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"], os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("5", "3")
