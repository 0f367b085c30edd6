"""Builds the clients from the settings and hands them to the stages; the only place that knows both."""

import importlib
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from recflow.artifacts.manifests import Interval
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import find_recipe, load_recipe
from recflow.config.settings import Settings, read_settings
from recflow.errors import BadConfiguration, JobFailed, from_exit_code
from recflow.protocols import (
    AsyncScorer,
    Clock,
    EventLog,
    JobLauncher,
    JobSpec,
    JobState,
    Ledger,
    MetricsSource,
    ModelRegistry,
    ModelServer,
    Notifier,
    ObjectStore,
    TrafficRouter,
)
from recflow.stages import Inputs, StageOutput, StageRunner, StageSpec, stage_key
from recflow.storage import ArtifactStore


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

            return LocalStore(Path(uri.removeprefix("file://")))
        raise BadConfiguration("RECFLOW_STORE cannot be used", expected="file:///… or s3://…", seen=uri)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Folder artifacts over the store, cached below the home folder."""
        return ArtifactStore(self.store, self.settings.home / "cache")

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, in the store."""
        from recflow.clients.ledger import ObjectLedger

        return ObjectLedger(self.store, self.clock)

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
        """Exposures and outcomes, below the home folder."""
        from recflow.clients.event_log import DuckEventLog

        return DuckEventLog(self.settings.home / "events", self.clock)

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


def build_services(settings: Settings | None = None) -> Services:
    """The services of this process, from the environment unless settings are given."""
    return Services(settings or read_settings())


@dataclass(frozen=True)
class Stage:
    """A stage's spec, where its function is, and which services it is handed by keyword."""

    spec: StageSpec
    module: str
    clients: tuple[str, ...] = ()

    def bind(self, services: Services) -> Callable[..., StageOutput]:
        """The stage function with its clients; imports the room only now."""
        function = importlib.import_module(self.module).run
        clients: dict[str, Any] = {name: getattr(services, name) for name in self.clients}
        return lambda context: function(context, **clients)


def _stages() -> dict[str, Stage]:
    from recflow.compression.spec import COMPRESS
    from recflow.data.spec import BUILD_DATASET, VALIDATE_PARTITION
    from recflow.evaluation.spec import OFFLINE_GATE
    from recflow.packaging.spec import PACKAGE
    from recflow.training.spec import FINE_TUNE

    stages = (
        Stage(VALIDATE_PARTITION, "recflow.data.validate", ("events",)),
        Stage(BUILD_DATASET, "recflow.data.build"),
        Stage(FINE_TUNE, "recflow.training.run", ("registry", "encoders")),
        Stage(COMPRESS, "recflow.compression.run", ("encoders",)),
        Stage(PACKAGE, "recflow.packaging.run"),
        Stage(OFFLINE_GATE, "recflow.evaluation.run", ("encoders",)),
    )
    return {stage.spec.name: stage for stage in stages}


STAGES: Mapping[str, Stage] = _stages()


@dataclass(frozen=True)
class StageCall:
    """One stage of one recipe for one interval with its inputs: all that its result depends on."""

    stage: str
    recipe: Recipe
    interval: Interval
    inputs: Inputs
    fresh: str = ""

    @property
    def spec(self) -> StageSpec:
        """The called stage's spec."""
        return STAGES[self.stage].spec

    @property
    def job_name(self) -> str:
        """The name under which the stage runs as a job: equal calls share it."""
        key = stage_key(self.spec, self.recipe, self.interval, self.inputs)
        return f"{self.recipe.name}-{self.stage}-{key[:16]}".replace("_", "-")


def stage_call(
    services: Services, stage: str, recipe: Recipe, interval: Interval, upstream: Mapping[str, Ref], *, fresh: str = ""
) -> StageCall:
    """The call of a stage with the references of earlier tasks, completed by what the stage must have pinned.

    `validate_partition` gets its source; `build_dataset` gets, instead of the day's one `partition`, every partition
    that the retrain reads.
    """
    inputs = {name: (ref,) for name, ref in upstream.items()}
    if stage == "validate_partition":
        inputs["source"] = (_pin_source(services, recipe, interval),)
    if "partition" in inputs:
        parent = read_parent(services, upstream["parent"])
        del inputs["partition"]
        inputs["partitions"] = _pin_partitions(services, recipe, interval, parent.trained_through)
    return StageCall(stage, recipe, interval, inputs, fresh)


def finish_stage(services: Services, call: StageCall, ref: Ref) -> Ref:
    """What follows a stage's result: a partition becomes the current one of its interval."""
    if call.stage == "validate_partition":
        from recflow.data.heads import HeadHistory

        HeadHistory(services.store, call.recipe.name).record(call.interval, ref)
    return ref


def read_parent(services: Services, ref: Ref) -> Parent:
    """What `pin_parent` wrote."""
    return Parent.model_validate_json((services.artifacts.fetch(ref) / "parent.json").read_bytes())


def _pin_source(services: Services, recipe: Recipe, interval: Interval) -> Ref:
    from recflow.data.heads import HeadHistory
    from recflow.data.pins import pin_source

    heads = HeadHistory(services.store, recipe.name)
    return pin_source(recipe, interval, services.settings.source_root, heads, events=services.events)


def _pin_partitions(
    services: Services, recipe: Recipe, interval: Interval, trained_through: datetime | None
) -> tuple[Ref, ...]:
    from recflow.data.heads import HeadHistory
    from recflow.data.pins import pin_partitions

    return pin_partitions(recipe, interval, trained_through, HeadHistory(services.store, recipe.name))


def find_result(services: Services, call: StageCall) -> Ref | None:
    """The reusable result of an earlier, equal call."""
    return None if call.fresh else services.runner.find(call.spec, call.recipe, call.interval, call.inputs)


def run_stage(services: Services, call: StageCall, *, publish: bool = True) -> Ref | None:
    """Run a stage in this process; None only for the silent ranks of a gang (`publish=False`)."""
    function = STAGES[call.stage].bind(services)
    return services.runner.run(
        call.spec, function, call.recipe, call.interval, call.inputs, fresh=call.fresh, publish=publish
    )


def submit_stage(services: Services, call: StageCall) -> None:
    """Start a stage as a job, or meet the one that runs already."""
    services.launcher.submit(_job(services, call))


def collect_job(services: Services, job_name: str) -> Ref:
    """The result of an ended job; the error that its exit code stands for when it failed."""
    status = services.launcher.poll(job_name)
    folder = services.settings.home / "calls" / job_name
    if status.state is JobState.ENDED and status.exit_code == 0:
        return Ref.model_validate_json((folder / "ref.json").read_bytes())
    code = status.exit_code if status.exit_code is not None else -9
    error = from_exit_code(code, f"job {job_name} ended", status.log_tail)
    error.add_note(f"run it by hand: {(folder / 'command').read_text()}")
    raise error


def _job(services: Services, call: StageCall) -> JobSpec:
    folder = services.settings.home / "calls" / call.job_name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(call.recipe.model_dump_json())
    (folder / "inputs.json").write_text(dump_inputs(call.inputs))
    command = [sys.executable, "-m", "recflow.cli.main", "stage", call.stage, "--recipe", str(folder / "recipe.json")]
    command += ["--interval", call.interval.label, "--inputs", str(folder / "inputs.json")]
    command += ["--out", str(folder / "ref.json")]
    command += ["--fresh", call.fresh] if call.fresh else []
    processes = call.recipe.training.processes if call.spec.gang else 1
    (folder / "command").write_text(shlex.join(command))
    return JobSpec(call.job_name, tuple(command), processes)


def dump_inputs(inputs: Inputs) -> str:
    """Inputs as the JSON that `recflow stage --inputs` reads."""
    plain = {name: [ref.model_dump(mode="json") for ref in refs] for name, refs in inputs.items()}
    return json.dumps(plain, indent=1)


def load_inputs(text: str) -> Inputs:
    """Inputs from the JSON of `dump_inputs`; one reference may stand without its list."""
    plain = json.loads(text)
    lists = {name: value if isinstance(value, list) else [value] for name, value in plain.items()}
    return {name: tuple(Ref.model_validate(ref) for ref in refs) for name, refs in lists.items()}
