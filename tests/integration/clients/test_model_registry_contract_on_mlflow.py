import shutil

import pytest

from fakes.model_registry_suite import ModelRegistrySuite, package
from recflow.clients.registry import MlflowRegistry
from recflow.errors import ServerUnavailable


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow database with its tables, made once: each test gets a copy."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowRegistry(f"sqlite:///{path}").aliases("nothing")
    return path


@pytest.fixture
def uri(empty_database, tmp_path):
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


class TestMlflowRegistry(ModelRegistrySuite):
    @pytest.fixture(params=["real_mlflow_sqlite"])
    def registry(self, uri):
        return MlflowRegistry(uri)


def test_mlflow_shows_numbers_curves_and_where_the_package_is(uri):
    from mlflow.tracking import MlflowClient

    registry = MlflowRegistry(uri)
    run_id = registry.log_run("search", "night", params={"rate": 2e-5}, metrics={"ndcg": 0.8}, tags={"day": "1"})
    registry.log_curve(run_id, "loss", [(1, 0.7), (2, 0.5)])
    registry.register("search", "20110101-abc", package(7), run_id=run_id)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = client.get_run(run_id)
    assert (run.data.params, run.data.metrics["ndcg"]) == ({"rate": "2e-05"}, 0.8)
    assert [(point.step, point.value) for point in client.get_metric_history(run_id, "loss")] == [(1, 0.7), (2, 0.5)]
    (version,) = client.search_model_versions("name = 'search'")
    assert version.tags["recflow.digest"] == f"{7:064d}"


def test_a_run_that_was_cut_off_half_way_is_recorded_anew(uri):
    from mlflow.tracking import MlflowClient

    registry = MlflowRegistry(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    half = client.create_run(client.create_experiment("search"), run_name="night").info.run_id
    whole = registry.log_run("search", "night", params={}, metrics={"ndcg": 0.8}, tags={})
    assert whole != half


def test_a_database_that_cannot_be_opened_is_a_temporary_error(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(ServerUnavailable, match="registry"):
        MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}").aliases("search")
