"""Stages with their clients: called here, or started as jobs and met again."""

import importlib
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from recflow.artifacts.manifests import Interval
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.errors import RecflowError, from_exit_code, from_record
from recflow.protocols import JobSpec, JobState, JobStatus
from recflow.stages import Inputs, StageOutput, StageSpec, section_json, stage_key
from recflow.wiring.packages import newest
from recflow.wiring.services import Services

# OpenMP threads that spin while they wait starve a server on the same cores.
SHARED_HOST = {"OMP_WAIT_POLICY": "PASSIVE"}


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
        if self.spec.by_task:
            return lambda context: function(context, task=services.task(context.recipe.task), **clients)
        return lambda context: function(context, **clients)


def _stages() -> dict[str, Stage]:
    from recflow.compression.spec import COMPRESS
    from recflow.data.spec import BUILD_DATASET, VALIDATE_PARTITION
    from recflow.evaluation.spec import OFFLINE_GATE
    from recflow.packaging.spec import PACKAGE
    from recflow.training.spec import FINE_TUNE

    stages = (
        Stage(VALIDATE_PARTITION, "recflow.data.validate", ("engine", "events")),
        Stage(BUILD_DATASET, "recflow.data.build", ("engine",)),
        Stage(FINE_TUNE, "recflow.training.run", ("registry", "encoders")),
        Stage(COMPRESS, "recflow.compression.run", ("encoders",)),
        Stage(PACKAGE, "recflow.packaging.run"),
        Stage(OFFLINE_GATE, "recflow.evaluation.run", ("encoders",)),
    )
    return {stage.spec.name: stage for stage in stages}


STAGES: Mapping[str, Stage] = _stages()


def stages_computed_again(before: Recipe, after: Recipe) -> list[str]:
    """Stages that a recipe cannot take over from another: those whose sections differ, and all that follow them."""
    own = {
        name: any(section_json(before, part) != section_json(after, part) for part in stage.spec.sections)
        for name, stage in STAGES.items()
    }
    first = next((number for number, differs in enumerate(own.values()) if differs or before.name != after.name), None)
    return [] if first is None else [*own][first:]


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

    `validate_partition` gets its source, what a person released of this delivery, and the days before it;
    `build_dataset` gets, instead of the day's one `partition`, every partition that the retrain reads.
    """
    inputs: dict[str, tuple[Ref, ...]] = {name: (ref,) for name, ref in upstream.items()}
    if stage == "validate_partition":
        inputs |= _pin_day(services, recipe, interval)
    if "partition" in inputs:
        parent = read_parent(services, upstream["parent"])
        del inputs["partition"]
        inputs["partitions"] = _pin_partitions(services, recipe, interval, parent.trained_through)
    return StageCall(stage, recipe, interval, inputs, fresh)


def finish_stage(services: Services, call: StageCall, ref: Ref) -> Ref:
    """What follows a stage's result: a partition becomes the current one of its interval, and it is said why."""
    if call.stage == "validate_partition":
        from recflow.data.heads import HeadHistory, why_current

        heads = HeadHistory(services.store, call.recipe.name)
        why = partial(why_current, services.artifacts, ref)
        heads.record(call.interval, ref, at=services.clock.now(), why=why)
    return ref


def held_out(services: Services, recipe: str, units: str) -> int | None:
    """How many test units, under the task's name for them, the recipe's newest data set has; None before the first."""
    made = newest(services, recipe, RefKind.DATASET)
    return None if made is None else int(str(made[1].numbers[f"test_{units}"]))


def read_parent(services: Services, ref: Ref) -> Parent:
    """What `pin_parent` wrote."""
    return Parent.model_validate_json((services.artifacts.fetch(ref) / "parent.json").read_bytes())


def _pin_day(services: Services, recipe: Recipe, interval: Interval) -> Inputs:
    from recflow.data.heads import HeadHistory
    from recflow.data.pins import pin_past, pin_source
    from recflow.data.released import ReleasedHistory

    source = pin_source(recipe, interval, services.settings.source_root, events=services.events)
    past = pin_past(recipe, interval, HeadHistory(services.store, recipe.name))
    return {**ReleasedHistory(services.store, recipe.name).pin(interval.label, source), "past": past}


def _pin_partitions(
    services: Services, recipe: Recipe, interval: Interval, trained_through: datetime | None
) -> tuple[Ref, ...]:
    from recflow.data.heads import HeadHistory
    from recflow.data.pins import pin_partitions

    return pin_partitions(recipe, interval, trained_through, HeadHistory(services.store, recipe.name))


def find_result(services: Services, call: StageCall) -> Ref | None:
    """The reusable result of an earlier, equal call."""
    return None if call.fresh else services.runner.find(call.spec, call.recipe, call.interval, call.inputs)


def run_stage(services: Services, call: StageCall) -> Ref:
    """Run a stage in this process, or take the result of an earlier, equal run.

    A failure carries the command that repeats the call by hand.
    """
    try:
        ref = run_rank(services, call, publish=True)
    except RecflowError as error:
        error.add_note(_by_hand(_write_call(services, call)))
        raise
    assert ref is not None
    return ref


def run_rank(services: Services, call: StageCall, *, publish: bool) -> Ref | None:
    """Run a stage as one rank of a gang: rank 0 publishes, the others (`publish=False`) give None."""
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
    error = _error_of(status, job_name, folder / "error.json")
    error.add_note(_by_hand(shlex.split((folder / "command").read_text())))
    raise error


def _error_of(status: JobStatus, job_name: str, told: Path) -> RecflowError:
    """What the job itself said when it ended by an error of ours, else what its exit code and its log say.

    A job that found the disk full may have left its word empty.
    """
    code = status.exit_code if status.exit_code is not None else -9
    with suppress(OSError, ValueError, KeyError):
        error = from_record(json.loads(told.read_bytes()))
        if error.exit_code == code:
            return error
    return from_exit_code(code, f"job {job_name} ended", status.log_tail)


def _by_hand(command: Sequence[str]) -> str:
    return f"run it by hand: {shlex.join(command)}"


def _job(services: Services, call: StageCall) -> JobSpec:
    processes = call.recipe.training.processes if call.spec.gang else 1
    timeout_s = call.recipe.schedule.max_job_hours * 3600
    return JobSpec(call.job_name, _write_call(services, call), processes, SHARED_HOST, timeout_s)


def _write_call(services: Services, call: StageCall) -> tuple[str, ...]:
    """Keep all that the call depends on as files; the command that runs it from them."""
    folder = services.settings.home / "calls" / call.job_name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(call.recipe.model_dump_json())
    (folder / "inputs.json").write_text(dump_inputs(call.inputs))
    command = [sys.executable, "-m", "recflow.cli.main", "stage", call.stage, "--recipe", str(folder / "recipe.json")]
    command += ["--interval", call.interval.label, "--inputs", str(folder / "inputs.json")]
    command += ["--out", str(folder / "ref.json")]
    command += ["--fresh", call.fresh] if call.fresh else []
    (folder / "error.json").unlink(missing_ok=True)
    (folder / "command").write_text(shlex.join(command))
    return tuple(command)


def dump_inputs(inputs: Inputs) -> str:
    """Inputs as the JSON that `recflow stage --inputs` reads."""
    plain = {name: [ref.model_dump(mode="json") for ref in refs] for name, refs in inputs.items()}
    return json.dumps(plain, indent=1)


def load_inputs(text: str) -> Inputs:
    """Inputs from the JSON of `dump_inputs`; one reference may stand without its list."""
    plain = json.loads(text)
    lists = {name: value if isinstance(value, list) else [value] for name, value in plain.items()}
    return {name: tuple(Ref.model_validate(ref) for ref in refs) for name, refs in lists.items()}
