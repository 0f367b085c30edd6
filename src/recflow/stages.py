"""The stage runner: keys, reuse, attempts, publishing. It knows every stage's shape and none of their insides."""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from recflow.artifacts.digests import digest_json
from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.refs import Numbers, Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.config.tasks import UNNAMED
from recflow.errors import BadData, PermanentError, RecflowError
from recflow.protocols import Clock
from recflow.storage import ArtifactStore, list_files

Inputs = Mapping[str, tuple[Ref, ...]]


@dataclass(frozen=True)
class StageSpec:
    """A stage's public shape.

    `version` is raised whenever the result for equal inputs may change; a test ties it to the source of the stage's
    import closure. `sections` are the recipe sections that enter the key, or single options of one by
    their dotted names; `inputs` the names it must be given.
    `heavy` stages run through the JobLauncher, with the recipe's number of training processes when `gang` is set.
    An `optional` input may be left out. So may one of `beside`, which a result is judged by and not made of: it is no
    part of the key nor of the manifest, so that a rerun finds its result whatever that has become. What a stage finds
    that refuses its input is kept as `refused`.
    `by_task`: the recipe's task is handed to the stage, and enters the key, unless it is the one of recipes that name
    none: what was computed before stages were handed a task stays good. `names_task`: it enters the key always.
    """

    name: str
    version: int
    kind: RefKind
    sections: tuple[str, ...]
    inputs: tuple[str, ...]
    heavy: bool = False
    gang: bool = False
    optional: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    refused: RefKind | None = None
    by_task: bool = False
    names_task: bool = False


@dataclass(frozen=True)
class StageContext:
    """What a stage function is given: the recipe, its interval, its inputs, and an empty folder for its output."""

    recipe: Recipe
    interval: Interval
    inputs: Inputs
    artifacts: ArtifactStore
    output: Path
    key: str

    @property
    def scratch(self) -> Path:
        """A folder named by the key that survives a killed run, for resuming; removed once the output is published."""
        return self.output.parent / self.key

    def one(self, name: str) -> Ref:
        """The single reference passed as `name`."""
        refs = self.inputs.get(name, ())
        if len(refs) != 1:
            raise PermanentError(f"input {name} of {self.recipe.name}", expected="one reference", seen=f"{len(refs)}")
        return refs[0]

    def folder(self, name: str) -> Path:
        """The verified local files of the single input `name`."""
        return self.artifacts.fetch(self.one(name))


@dataclass(frozen=True)
class StageOutput:
    """What a stage gives back beside the files in its output folder.

    `reusable=False`: never taken for a later run. With `refused` the files are what was found of an input that is
    refused: they are kept as the kind that the spec names, and the error is raised.
    """

    numbers: Numbers = field(default_factory=dict)
    reusable: bool = True
    refused: BadData | None = None


StageFunction = Callable[[StageContext], StageOutput]


def stage_key(spec: StageSpec, recipe: Recipe, interval: Interval, inputs: Inputs) -> str:
    """The digest that names a stage's result: same name, version, recipe sections, interval and inputs, same key."""
    return digest_json(
        {
            "stage": spec.name,
            "version": spec.version,
            "recipe": recipe.name,
            "sections": {name: section_json(recipe, name) for name in spec.sections},
            "interval": interval.model_dump(mode="json"),
            "inputs": {name: [ref.digest for ref in inputs[name]] for name in sorted({*inputs} - {*spec.beside})},
        }
        | ({"task": recipe.task} if spec.names_task or (spec.by_task and recipe.task != UNNAMED) else {})
    )


def section_json(recipe: Recipe, name: str) -> Any:
    """A section of a recipe, or one option of it by its dotted name, as it enters a stage's key."""
    found: Any = recipe
    for part in name.split("."):
        found = getattr(found, part)
    return found.model_dump(mode="json") if isinstance(found, BaseModel) else found


class StageRunner:
    """Runs a stage once for its key, and finds the result again."""

    def __init__(self, artifacts: ArtifactStore, clock: Clock, scratch: Path) -> None:
        self._artifacts, self._clock, self._scratch = artifacts, clock, scratch

    def find(self, spec: StageSpec, recipe: Recipe, interval: Interval, inputs: Inputs) -> Ref | None:
        """The reusable result of an earlier run, None when it must be computed."""
        found = self._artifacts.find(recipe.name, spec.kind, stage_key(spec, recipe, interval, inputs))
        return found[0] if found and found[1].reusable else None

    def run(
        self,
        spec: StageSpec,
        function: StageFunction,
        recipe: Recipe,
        interval: Interval,
        inputs: Inputs,
        *,
        fresh: str = "",
        publish: bool = True,
    ) -> Ref | None:
        """Run the stage and publish its output; reuse an earlier result unless `fresh` gives a reason not to.

        With `publish=False` (ranks above 0 of a gang) the function runs and nothing is stored: None. Every rank looks
        for an earlier result, so that none waits for a rank 0 that has found one.
        """
        _refuse_missing(spec, inputs)
        if not fresh and (found := self.find(spec, recipe, interval, inputs)):
            return found if publish else None
        key = stage_key(spec, recipe, interval, inputs)
        self._scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix=f"{spec.name}-") as scratch:
            context = StageContext(recipe, interval, inputs, self._artifacts, Path(scratch), key)
            output = function(context)
            if output.refused is not None:
                raise self._keep_refused(spec, context, output, output.refused)
            if not publish:
                return None
            supersede = bool(fresh) or self._superseded(context, spec)
            ref = self._publish(spec, context, output, fresh, supersede=supersede)
            shutil.rmtree(context.scratch, ignore_errors=True)
            return ref

    def _keep_refused(self, spec: StageSpec, context: StageContext, output: StageOutput, error: BadData) -> BadData:
        """The error, which says whether what was found is kept; equal refusals of one key are kept once."""
        assert spec.refused is not None
        try:
            found = self._artifacts.find(context.recipe.name, spec.refused, context.key)
            if found is None or found[1].numbers != output.numbers:
                kept = replace(spec, kind=spec.refused)
                self._publish(kept, context, output, "", supersede=found is not None)
            then = f"{error.then}; what was found is kept"
        except (RecflowError, OSError) as lost:
            why = lost.what if isinstance(lost, RecflowError) else lost
            then = f"{error.then}; what was found could not be kept: {why}"
        return BadData(error.what, expected=error.expected, seen=error.seen, then=then, action=error.what_to_do)

    def _publish(
        self, spec: StageSpec, context: StageContext, output: StageOutput, fresh: str, *, supersede: bool
    ) -> Ref:
        (context.output / "recipe.json").write_text(context.recipe.model_dump_json(indent=1))
        manifest = Manifest(
            kind=spec.kind,
            recipe=context.recipe.name,
            stage=spec.name,
            stage_version=spec.version,
            key=context.key,
            attempt=uuid.uuid4().hex[:12],
            interval=context.interval,
            inputs={name: refs for name, refs in context.inputs.items() if name not in spec.beside},
            files=list_files(context.output),
            numbers=output.numbers,
            reusable=output.reusable,
            created_at=self._clock.now(),
            fresh_reason=fresh,
        )
        return self._artifacts.publish(manifest, context.output, replace=supersede)

    def _superseded(self, context: StageContext, spec: StageSpec) -> bool:
        found = self._artifacts.find(context.recipe.name, spec.kind, context.key)
        return found is not None and not found[1].reusable


def _refuse_missing(spec: StageSpec, inputs: Inputs) -> None:
    missing = sorted(set(spec.inputs) - set(inputs))
    unknown = sorted(set(inputs) - {*spec.inputs, *spec.optional, *spec.beside})
    if missing or unknown:
        raise PermanentError(
            f"stage {spec.name} was given other inputs",
            expected=", ".join(spec.inputs) or "none",
            seen=f"missing {missing}, unknown {unknown}",
        )
