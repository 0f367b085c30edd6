"""The registry on MLflow: runs, curves, model versions and aliases. A projection of the ledger, for people."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from recflow.artifacts.refs import Numbers, Ref
from recflow.errors import PermanentError, ServerUnavailable

_VERSION = "recflow.version"
_NAME = "mlflow.runName"
_MAX_PARAM = 500
_SQLITE = "sqlite:///"


class MlflowRegistry:
    """Speaks to the tracking store `uri`: `sqlite:///file` or a server's address."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @cached_property
    def _client(self) -> Any:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        # MLflow's own patience is minutes, and the watch waits for it.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if self._uri.startswith(_SQLITE):
            self._folder.mkdir(parents=True, exist_ok=True)
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    @property
    def _folder(self) -> Path:
        return Path(self._uri.removeprefix(_SQLITE)).parent

    def log_run(
        self, recipe: str, run: str, *, params: Numbers, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> str:
        """Record one finished run and give back its id; the same run name is recorded once."""
        with _translated(f"run {run} of {recipe}"):
            experiment = self._experiment(recipe)
            query = f"tags.`{_NAME}` = '{run}' AND attributes.status = 'FINISHED'"
            known = self._client.search_runs([experiment], query, max_results=1)
            if known:
                return str(known[0].info.run_id)
            run_id = str(self._client.create_run(experiment, run_name=run, tags=dict(tags)).info.run_id)
            self._write(run_id, params, metrics)
            self._client.set_terminated(run_id)
            return run_id

    def log_curve(self, run_id: str, name: str, points: Sequence[tuple[int, float]]) -> None:
        """Record a metric's course as (step, value); what is known already is not recorded again."""
        from mlflow.entities import Metric

        with _translated(f"curve {name} of run {run_id}"):
            known = {point.step for point in self._client.get_metric_history(run_id, name)}
            fresh = [Metric(name, value, 0, step) for step, value in points if step not in known]
            self._client.log_batch(run_id, metrics=fresh)

    def register(self, recipe: str, version: str, package: Ref, *, run_id: str = "") -> None:
        """Make the version known to the registry; registering it twice is fine."""
        with _translated(f"version {version} of {recipe}"):
            self._model(recipe)
            if version in self._numbers(recipe):
                return
            tags = {_VERSION: version, "recflow.package": package.uri, "recflow.digest": package.digest}
            self._client.create_model_version(
                recipe, package.uri, run_id=run_id or None, tags=tags, description=f"recflow version {version}"
            )

    def set_alias(self, recipe: str, alias: str, version: str) -> None:
        """Point an alias (`champion`, `challenger`) at a version; PermanentError when it was never registered."""
        with _translated(f"alias {alias} of {recipe}"):
            number = self._numbers(recipe).get(version)
            if number is None:
                raise PermanentError(
                    f"alias {alias} of {recipe}",
                    expected="a registered version",
                    seen=version,
                    then="the ledger is right, the registry shows an older alias",
                )
            self._client.set_registered_model_alias(recipe, alias, number)

    def aliases(self, recipe: str) -> dict[str, str]:
        """Every alias with its version; a version that somebody registered by hand is none of ours."""
        with _translated(f"aliases of {recipe}"):
            found = self._client.search_registered_models(f"name = '{recipe}'")
            names = {number: version for version, number in self._numbers(recipe).items()}
            aliases = [(alias, str(number)) for model in found for alias, number in model.aliases.items()]
            return {alias: names[number] for alias, number in aliases if number in names}

    def _experiment(self, recipe: str) -> str:
        found = self._client.get_experiment_by_name(recipe)
        if found is not None:
            return str(found.experiment_id)
        place = (self._folder / "artifacts" / recipe).as_uri() if self._uri.startswith(_SQLITE) else None
        return str(self._client.create_experiment(recipe, artifact_location=place))

    def _write(self, run_id: str, params: Numbers, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric, Param

        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, 0, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)[:_MAX_PARAM]) for name, value in params.items()],
        )

    def _model(self, recipe: str) -> None:
        if not self._client.search_registered_models(f"name = '{recipe}'"):
            self._client.create_registered_model(recipe)

    def _numbers(self, recipe: str) -> dict[str, str]:
        """MLflow's own numbers by our versions."""
        found = self._client.search_model_versions(f"name = '{recipe}'", max_results=10_000)
        return {item.tags[_VERSION]: str(item.version) for item in found if _VERSION in item.tags}


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """MLflow's and its database's failures as one of ours."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ServerUnavailable(
            f"the registry did not take {what}", expected="an answer", seen=str(error), then="it is told again"
        ) from error
