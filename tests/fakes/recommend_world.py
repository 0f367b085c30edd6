"""A line that recommends: days of acts in which each item is followed by the next one, its recipe and its stages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from fakes.deliveries import day, partition_file
from fakes.engines import duckdb_engine
from fakes.fake_registry import FakeRegistry
from fakes.stage_bench import StageBench
from recflow.artifacts.decisions import Decision
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.compression import run as compression
from recflow.compression.spec import COMPRESS
from recflow.config.recipe import Recipe
from recflow.data import build
from recflow.data.spec import BUILD_DATASET
from recflow.engine import OpenEngine
from recflow.evaluation import run as evaluation
from recflow.evaluation.spec import OFFLINE_GATE
from recflow.packaging import run as packaging
from recflow.packaging.spec import PACKAGE
from recflow.storage import list_files
from recflow.training import run as training
from recflow.training.spec import FINE_TUNE

LINE = "next_items"
ITEMS = tuple(f"i{number:02d}" for number in range(40))
TINY = {"width": 16, "layers": 1, "epochs": 6, "dropout": 0.1, "batch_acts": 256, "learning_rate": 0.01,
        "max_length": 20, "neighbours": 8}  # fmt: skip
Row = dict[str, Any]


def recommend_recipe(**sections: Any) -> Recipe:
    given = {"training": TINY, "split": {"test_percent": 30, "evaluation_days": 1}, **sections}
    return Recipe.model_validate({"name": LINE, "owner": "tests", "task": "recommend", **given})


def act(user: str, item: str, number: int = 0, minute: int = 0, **changes: Any) -> Row:
    """A click on the day `number`."""
    at = day(number).start + timedelta(minutes=minute)
    told = {"kind": "click", "user_key": user, "item_id": item, "title": f"thing {item}", "request_id": f"r-{user}"}
    return {"event_id": f"{user}-{item}-{number}-{minute}", "at": at.isoformat(), **told, **changes}


def cycling(users: int, number: int, *, length: int = 4) -> Iterator[Row]:
    """A day on which each user goes on along the cycle of items from where the day before ended."""
    for user in range(users):
        for step in range(length):
            place = user + number * length + step
            yield act(f"u{user:03d}", ITEMS[place % len(ITEMS)], number, minute=step)


class RecommendLine:
    """Days of rows, the data sets, models and packages that stages make of them, and what the gate says."""

    def __init__(self, root: Path, recipe: Recipe | None = None) -> None:
        self.bench, self.root = StageBench(root / "bench"), root
        self.recipe = recipe or recommend_recipe()

    def partition(self, number: int, rows: Sequence[Row]) -> Ref:
        """A day's validated rows."""
        folder = self.root / f"partition-{number}"
        folder.mkdir(parents=True)
        partition_file(folder / "rows.parquet", rows)
        manifest = Manifest(
            kind=RefKind.PARTITION, recipe=LINE, stage="fixture", stage_version=1, key=folder.name, attempt="only",
            interval=day(number), inputs={}, files=list_files(folder), numbers={}, reusable=True,
            created_at=self.bench.clock.now(),
        )  # fmt: skip
        return self.bench.artifacts.publish(manifest, folder)

    def dataset(self, *days: Sequence[Row], engine: OpenEngine = duckdb_engine, parent: Ref | None = None) -> Path:
        """The folder of the data set of the last of the days."""
        return self.bench.artifacts.fetch(self.dataset_ref(*days, engine=engine, parent=parent))

    def dataset_ref(self, *days: Sequence[Row], engine: OpenEngine = duckdb_engine, parent: Ref | None = None) -> Ref:
        partitions = tuple(self.partition(number, rows) for number, rows in enumerate(days))
        inputs = {"parent": (parent or self.bench.parent(),), "partitions": partitions}
        work = partial(build.run, engine=engine)
        return self.bench.run_many(BUILD_DATASET, work, self.recipe, inputs, day=len(days) - 1)

    def package(self, dataset: Ref, parent: Ref) -> tuple[Ref, Ref]:
        """Checkpoint and package by the real stages and the real trainer."""
        bench = self.bench
        train = partial(training.run, registry=FakeRegistry(), encoders=None)
        checkpoint = bench.run(FINE_TUNE, train, self.recipe, parent=parent, dataset=dataset)
        write = partial(compression.run, encoders=None)
        model = bench.run(COMPRESS, write, self.recipe, checkpoint=checkpoint, dataset=dataset)
        return checkpoint, bench.run(PACKAGE, packaging.run, self.recipe, model=model)

    def decide(self, dataset: Ref, package: Ref, parent: Ref) -> tuple[Decision, Mapping[str, Any]]:
        """The gate's decision and its report."""
        work = partial(evaluation.run, encoders=None)
        ref = self.bench.run(OFFLINE_GATE, work, self.recipe, package=package, parent=parent, dataset=dataset)
        folder = self.bench.artifacts.fetch(ref)
        decision = Decision.model_validate_json((folder / "decision.json").read_bytes())
        return decision, json.loads((folder / "report.json").read_bytes())
