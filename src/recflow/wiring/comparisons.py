"""Two packages compared on one set of held-out rows. Nothing is released, recorded or kept."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.config.recipe import Recipe
from recflow.config.sections.data import SplitSection
from recflow.data.heads import Head, HeadHistory
from recflow.data.spec import BUILD_DATASET
from recflow.errors import BadConfiguration, PermanentError
from recflow.evaluation.compare import PackageComparison, compare_packages
from recflow.evaluation.held_out import HeldOut
from recflow.evaluation.packaged import Package, open_package
from recflow.rollout.changes import package_differences
from recflow.rollout.parent import publish_parent
from recflow.stages import StageRunner
from recflow.storage import ArtifactStore
from recflow.tasks.base import Basis, Task, refuse_other_signature
from recflow.wiring.packages import NamedPackage, find_package, newest
from recflow.wiring.services import Services
from recflow.wiring.stage_calls import STAGES

HeldOutSplit = Literal["test", "validation"]
Days = tuple[date, date]
UNKNOWN = "what one of them was made with is not known"


@dataclass(frozen=True)
class ComparedLines:
    """A and B, the rows that both answered, what differs between them, and what their answers tell."""

    a: NamedPackage
    b: NamedPackage
    task: Task
    rows: str
    changes: tuple[str, ...]
    warnings: tuple[str, ...]
    found: PackageComparison

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        sides = {
            name: {"line": side.line, "version": side.version, "package": side.ref.model_dump(mode="json")}
            for name, side in (("a", self.a), ("b", self.b))
        }
        told = {"task": self.task.name, "rows": self.rows, "changes": self.changes, "warnings": self.warnings}
        return {**sides, **told, **asdict(self.found)}


@dataclass(frozen=True)
class _Rows:
    """A stored data set's folder, or one that was just made, and what people are told it is."""

    folder: Path
    told: str


def compare_lines(
    services: Services, first: str, second: str, *, days: Days | None = None, split: HeldOutSplit = "test"
) -> ComparedLines:
    """Compare the packages that two words name (see `find_package`) on B's newest data set, or on B's days.

    B's recipe says by which floors, with which confidence. BadConfiguration for packages that cannot be compared and
    for days without rows, PermanentError for a package that does not load.
    """
    a, b = (find_package(services, word) for word in (first, second))
    task = _common_task(services, a, b)
    with _held_out_rows(services, b, days) as rows:
        metrics = task.metrics
        held_out = HeldOut(
            metrics, metrics.read(rows.folder, split), metrics.read(rows.folder, "validation", required=False)
        )
        ours, theirs = _open(services, task, "B", b), _open(services, task, "A", a)
        basis = Basis(b.recipe, rows.folder, services.encoders)
        found = compare_packages(theirs, ours, held_out, b.recipe.offline_gate, task.floors, basis)
        warnings = tuple(_warnings(a, b, rows.folder, split))
    return ComparedLines(a, b, task, rows.told, _changes(services, a, b), warnings, found)


def _common_task(services: Services, a: NamedPackage, b: NamedPackage) -> Task:
    if a.ref.digest == b.ref.digest:
        raise BadConfiguration(
            "A and B are one package", expected="two of them", seen=f"{b.line}@{b.version} twice",
            action=f"say {b.line}@candidate for the newest, {b.line}@VERSION for another",
        )  # fmt: skip
    ours, theirs = services.task(b.recipe.task), services.task(a.recipe.task)
    if ours.name != theirs.name and _judged_by(ours) != _judged_by(theirs):
        raise BadConfiguration(
            "A and B are of different tasks",
            expected="one task, or two that are judged by the same metrics of the same unit",
            seen=f"{a.line} learns {theirs.name}, {b.line} {ours.name}",
        )
    return ours


def _judged_by(task: Task) -> tuple[object, ...]:
    return task.metrics.unit, task.metrics.metrics, task.serving.signature


def _open(services: Services, task: Task, name: str, side: NamedPackage) -> Package:
    try:
        refuse_other_signature(task.serving, services.artifacts.fetch(side.ref))
        return open_package(services.artifacts, side.ref)
    except PermanentError as error:
        error.add_note(f"this is {name}: {side.line}@{side.version}")
        raise


def _changes(services: Services, a: NamedPackage, b: NamedPackage) -> tuple[str, ...]:
    try:
        return package_differences(a.ref, b.ref, services.artifacts)
    except (PermanentError, ValueError):
        return (UNKNOWN,)


def _warnings(a: NamedPackage, b: NamedPackage, dataset: Path, split: str) -> Iterator[str]:
    for name, side in (("A", a), ("B", b)):
        if _dealt(side.recipe.split.model_dump()) != _dealt(_made_by(dataset).get("split", {})):
            yield f"{name} was trained with other splits: it may have learnt from units that judge here"
    if split == "validation":
        yield "validation units chose where training stopped: both look better on them than on test units"


def _dealt(split: Mapping[str, Any]) -> tuple[Any, ...]:
    """What decides which unit is held out."""
    section = SplitSection.model_validate(split)
    return section.salt, section.test_percent, section.validation_percent


def _made_by(dataset: Path) -> dict[str, Any]:
    """The recipe that made a data set."""
    made: dict[str, Any] = json.loads((dataset / "recipe.json").read_bytes())
    return made


@contextmanager
def _held_out_rows(services: Services, side: NamedPackage, days: Days | None) -> Iterator[_Rows]:
    if days:
        with TemporaryDirectory(prefix="compare-") as folder:
            yield _build(services, side, days, Path(folder))
        return
    stored = newest(services, side.line, RefKind.DATASET)
    if stored is None:
        raise BadConfiguration(
            f"{side.line} has no stored data set",
            expected="one of an earlier retrain",
            seen="none",
            action="say --days FROM..TO: rows are then made of these days, for this comparison only",
        )
    ref, manifest = stored
    yield _Rows(services.artifacts.fetch(ref), f"data set {ref.short} of {manifest.interval.label}, as it is stored")


def _build(services: Services, side: NamedPackage, days: Days, scratch: Path) -> _Rows:
    """The data set that B's recipe makes of the current partitions of some days, in a folder beside the store."""
    from recflow.clients.local_store import LocalStore
    from recflow.clients.scratch_store import ScratchStore

    heads = _heads(services, side, days)
    before = _before(services, side, heads[0])
    interval = heads[-1].interval
    recipe = _on_all_of(side.recipe, len(heads))
    artifacts = ArtifactStore(ScratchStore(services.store, LocalStore(scratch / "store")), scratch / "cache")
    parent = publish_parent(recipe, interval, Parent(), artifacts, services.clock)
    inputs = {"parent": (parent,), "partitions": tuple(head.partition for head in (*before, *heads))}
    runner = StageRunner(artifacts, services.clock, scratch / "runs")
    ref = runner.run(BUILD_DATASET, STAGES[BUILD_DATASET.name].bind(services), recipe, interval, inputs)
    assert ref is not None
    labels = dict.fromkeys((heads[0].interval.label, interval.label))
    known = f", and of {len(before)} days before them what users did" if before else ""
    return _Rows(artifacts.fetch(ref), f"made of {len(heads)} days of {side.line}, {' … '.join(labels)}{known}")


def _heads(services: Services, side: NamedPackage, days: Days) -> list[Head]:
    first, last = (day.isoformat() for day in days)
    history = HeadHistory(services.store, side.line)
    kept = [label for label in history.labels() if first <= label <= last]
    heads = [head for label in kept if (head := history.current(label))]
    if not heads:
        known = history.labels()
        raise BadConfiguration(
            f"{side.line} has no rows of {first} … {last}",
            expected=f"days from {known[0]} to {known[-1]}" if known else "a validated day",
            seen="no partition of these days",
        )
    return heads


def _before(services: Services, side: NamedPackage, first: Head) -> list[Head]:
    """The `split.history_days` partitions before a day, the oldest first: what its users did until then."""
    history = HeadHistory(services.store, side.line)
    older = [label for label in sorted(history.labels()) if label < first.interval.label]
    wanted = older[len(older) - min(len(older), side.recipe.split.history_days) :]
    return [head for label in wanted if (head := history.current(label))]


def _on_all_of(recipe: Recipe, days: int) -> Recipe:
    """The recipe whose test rows come from so many days, all of them."""
    return recipe.model_copy(update={"split": recipe.split.model_copy(update={"evaluation_days": days})})
