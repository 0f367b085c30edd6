"""A bench for stages: publishes folders as inputs and runs stages on a local store."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from fakes.fake_clock import FakeClock
from fakes.memory_store import MemoryStore
from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import Numbers, Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.stages import StageOutput, StageRunner, StageSpec
from recflow.storage import ArtifactStore, list_files
from recflow.tasks.registry import find_task

DAY = Interval(label="2011-01-01", start=datetime(2011, 1, 1, tzinfo=UTC), end=datetime(2011, 1, 2, tzinfo=UTC))


class StageBench:
    """One store, one clock, one runner; everything below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.artifacts = ArtifactStore(self.store, root / "cache")
        self.runner = StageRunner(self.artifacts, self.clock, root / "scratch")

    def publish(self, kind: RefKind, folder: Path, *, recipe: str = "search", numbers: Numbers | None = None) -> Ref:
        """A folder as a published artifact."""
        manifest = Manifest(
            kind=kind,
            recipe=recipe,
            stage="fixture",
            stage_version=1,
            key=f"{folder.name}-{len(self.store.list(''))}",
            attempt="only",
            interval=DAY,
            inputs={},
            files=list_files(folder),
            numbers=numbers or {},
            reusable=True,
            created_at=self.clock.now(),
        )
        return self.artifacts.publish(manifest, folder)

    def parent(self, parent: Parent | None = None) -> Ref:
        """A published parent; the untrained base unless one is given."""
        folder = self.root / f"parent-{len(self.store.list(''))}"
        folder.mkdir(parents=True)
        (folder / "parent.json").write_text((parent or Parent()).model_dump_json())
        return self.publish(RefKind.PARENT, folder)

    def run(
        self, spec: StageSpec, function: Callable[..., StageOutput], recipe: Recipe, *, day: int = 0, **inputs: Ref
    ) -> Ref:
        """Run a stage for the first day, or `day` days later, with one reference an input."""
        return self.run_many(spec, function, recipe, {name: (ref,) for name, ref in inputs.items()}, day=day)

    def run_many(
        self,
        spec: StageSpec,
        function: Callable[..., StageOutput],
        recipe: Recipe,
        inputs: Mapping[str, tuple[Ref, ...]],
        *,
        day: int = 0,
    ) -> Ref:
        """The same, with any number of references an input."""
        shift = timedelta(days=day)
        start, end = DAY.start + shift, DAY.end + shift
        interval = Interval(label=start.date().isoformat(), start=start, end=end)
        if spec.by_task:
            function = partial(function, task=find_task(recipe.task))
        ref = self.runner.run(spec, function, recipe, interval, inputs)
        assert ref is not None
        return ref
