"""The clients of one installation, built from its settings."""

from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import find_recipe, load_recipe
from recflow.config.settings import Settings, read_settings
from recflow.engine import OpenEngine
from recflow.errors import BadConfiguration
from recflow.protocols import (
    AsyncScorer,
    Clock,
    EventLog,
    JobLauncher,
    Ledger,
    MetricsSource,
    ModelRegistry,
    ModelServer,
    Notifier,
    ObjectStore,
    TrafficRouter,
)
from recflow.stages import StageRunner
from recflow.storage import ArtifactStore
from recflow.tasks.base import Task
from recflow.tasks.registry import find_task


class Services:
    """The clients of one installation, each built when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def clock(self) -> Clock:
        """The system's clock."""
        from recflow.clients.clock import SystemClock

        return SystemClock()

    @cached_property
    def store(self) -> ObjectStore:
        """The object store that `RECFLOW_STORE` names."""
        uri = self.settings.store_uri
        if uri.startswith("s3://"):
            from recflow.clients.s3_store import S3Store

            return S3Store(uri, self.settings.s3_endpoint)
        if uri.startswith("file://"):
            from recflow.clients.local_store import LocalStore

            return LocalStore(Path(url2pathname(urlparse(uri).path)))
        raise BadConfiguration("RECFLOW_STORE cannot be used", expected="file:///… or s3://…", seen=uri)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Folder artifacts over the store, cached below the home folder."""
        return ArtifactStore(self.store, self.settings.home / "cache")

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, in the store."""
        from recflow.clients.ledger import ObjectLedger

        return ObjectLedger(self.store, self.clock, self.settings.actor)

    @cached_property
    def runner(self) -> StageRunner:
        """The stage runner."""
        return StageRunner(self.artifacts, self.clock, self.settings.home / "scratch")

    @cached_property
    def launcher(self) -> JobLauncher:
        """Jobs as processes of this host."""
        from recflow.clients.launcher import ProcessLauncher

        return ProcessLauncher(self.settings.home / "jobs")

    @cached_property
    def server(self) -> ModelServer:
        """Triton, for loading and checking."""
        from recflow.clients.triton import TritonServer

        return TritonServer(self.settings)

    @cached_property
    def scorer(self) -> AsyncScorer:
        """Triton, as the gateway calls it."""
        from recflow.clients.triton import TritonScorer

        return TritonScorer(self.settings)

    @cached_property
    def router(self) -> TrafficRouter:
        """Routes folded from the ledger, acknowledged through the store."""
        from recflow.clients.router import LedgerRouter

        return LedgerRouter(self.store, self.ledger, self.clock)

    @cached_property
    def events(self) -> EventLog:
        """What gateways record, below the home folder."""
        from recflow.clients.event_log import DuckEventLog

        return DuckEventLog(self.settings.home / "events", self.clock)

    @cached_property
    def engine(self) -> OpenEngine:
        """What computes tables: DuckDB in this process, or a Spark cluster."""
        if self.settings.engine == "duckdb":
            from recflow.engine.duckdb_engine import open_duckdb

            return partial(open_duckdb, memory_mb=self.settings.engine_memory_mb)
        from recflow.engine.spark_engine import open_spark, spark_session

        if not self.settings.spark_master:
            raise BadConfiguration("RECFLOW_ENGINE is spark", expected="RECFLOW_SPARK_MASTER", seen="no cluster")
        return partial(open_spark, session=spark_session(self.settings.spark_master))

    @cached_property
    def metrics(self) -> MetricsSource:
        """Live indicators, read from the event log."""
        from recflow.clients.metrics import EventLogMetrics

        return EventLogMetrics(self.events, self.clock)

    @cached_property
    def registry(self) -> ModelRegistry:
        """MLflow."""
        from recflow.clients.registry import MlflowRegistry

        return MlflowRegistry(self.settings.tracking_uri)

    @cached_property
    def encoders(self) -> Any:
        """Base models and encoders from folders; an object of training, since compression and judging read them too."""
        from recflow.training.encoder import Encoders

        return Encoders(self.settings.base_models, threads=self.settings.torch_threads)

    @cached_property
    def notifier(self) -> Notifier:
        """Alerts to a file, and to a webhook when one is set."""
        from recflow.clients.notifier import build_notifier

        return build_notifier(self.settings.home / "alerts.jsonl", self.settings.notify_webhook)

    def recipe(self, name: str) -> Recipe:
        """A recipe by its name, or by the path of its file."""
        path = Path(name)
        return load_recipe(path) if path.suffix else find_recipe(self.settings.recipes, name)

    def model_line(self, name: str) -> Recipe:
        """A recipe that trains and releases a model.

        BadConfiguration for a line of data alone, and for one whose task cannot be loaded.
        """
        recipe = expect_model(self.recipe(name))
        self.task(recipe.task)
        return recipe

    def task(self, name: str) -> Task:
        """The task of a recipe's name for it; BadConfiguration when it cannot be loaded."""
        return find_task(name)


def expect_model(recipe: Recipe) -> Recipe:
    """The recipe, unless it is a line of data alone: then BadConfiguration."""
    if recipe.has_model:
        return recipe
    raise BadConfiguration(f"{recipe.name} is a line of data alone", expected="a line with a model", seen="task: none")


def build_services(settings: Settings | None = None) -> Services:
    """The services of this process, from the environment unless settings are given."""
    return Services(settings or read_settings())
