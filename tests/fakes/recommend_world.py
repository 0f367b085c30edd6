"""A line that recommends: days of acts in which each item is followed by the next one, its recipe and its stages."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from fakes.deliveries import day, partition_file
from fakes.engines import duckdb_engine
from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.fake_registry import FakeRegistry
from fakes.fake_router import FakeRouter
from fakes.fake_server import FakeModelServer, FakeScorer
from fakes.gateway_world import BROWSER
from fakes.stage_bench import StageBench
from recflow.artifacts.decisions import Decision
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.compression import run as compression
from recflow.compression.spec import COMPRESS
from recflow.config.recipe import Recipe
from recflow.config.sections.serving import PackagingSection
from recflow.data import build
from recflow.data.spec import BUILD_DATASET
from recflow.domain.golden import GOLDEN, Golden
from recflow.domain.routes import RoutingTable
from recflow.engine import OpenEngine
from recflow.evaluation import run as evaluation
from recflow.evaluation.spec import OFFLINE_GATE
from recflow.gateway.app import create_app
from recflow.gateway.service import Line, Options, Seams
from recflow.packaging import run as packaging
from recflow.packaging.run import lay_out
from recflow.packaging.spec import PACKAGE
from recflow.storage import list_files
from recflow.tasks.base import golden_json
from recflow.tasks.recommend.serving import RecommendServing, recommend_tensors
from recflow.training import run as training
from recflow.training.spec import FINE_TUNE

LINE = "next_items"
SERVING = RecommendServing()
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

    def decide(
        self, dataset: Ref, package: Ref, parent: Ref, recipe: Recipe | None = None
    ) -> tuple[Decision, Mapping[str, Any]]:
        """The gate's decision and its report."""
        work = partial(evaluation.run, encoders=None)
        ref = self.bench.run(OFFLINE_GATE, work, recipe or self.recipe, package=package, parent=parent, dataset=dataset)
        folder = self.bench.artifacts.fetch(ref)
        decision = Decision.model_validate_json((folder / "decision.json").read_bytes())
        return decision, json.loads((folder / "report.json").read_bytes())


SCORING = '''"""What comes behind the newest known item of a history in the list of items; without one the list."""

import json
import os


class Scorer:
    def __init__(self, folder, threads=1):
        with open(os.path.join(folder, "items.json"), encoding="utf-8") as stream:
            self.items = json.load(stream)

    def score_many(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        known = [item for item in request["history"] if item in self.items]
        start = self.items.index(known[-1]) + 1 if known else 0
        hidden = {*request["exclude"], *request["history"]}
        found = [item for item in self.items[start:] + self.items[:start] if item not in hidden][: request["k"]]
        return [(item, 1.0 / place) for place, item in enumerate(found, start=1)], not known
'''


def write_scripted_package(folder: Path, items: Sequence[str] = ITEMS) -> Path:
    """A package of a scripted recommender, laid out by the real packaging."""
    model = folder.with_name(f"{folder.name}-model")
    model.mkdir(parents=True)
    for name in SERVING.model_files:
        (model / name).touch()
    (model / "scoring.py").write_text(SCORING, encoding="utf-8")
    (model / "items.json").write_text(json.dumps(items))
    asked = {"history": [items[0]], "seconds": [0.0], "country": "", "at": 0.0, "k": 2, "exclude": []}
    golden = Golden(recommend_tensors(asked), SERVING.answered(([(items[1], 1.0), (items[2], 0.5)], False)))
    (model / GOLDEN).write_text(json.dumps([golden_json(SERVING, golden)]))
    folder.mkdir(parents=True)
    lay_out(model, PackagingSection(), SERVING, folder)
    return folder


@dataclass
class RecommendGateway:
    """A gateway that serves the line over the fake model server: v1, and in shadow v2, whose list is another."""

    folder: Path
    serving: Mapping[str, Any] = field(default_factory=dict)
    remembers: bool = False
    server: FakeModelServer = field(default_factory=FakeModelServer)
    events: FakeEventLog = field(default_factory=FakeEventLog)

    def __post_init__(self) -> None:
        for version, items in (("v1", ITEMS), ("v2", ITEMS[5:])):
            self.server.load(LINE, version, write_scripted_package(self.folder / version, items))

    def lines(self) -> list[Line]:
        recipe = recommend_recipe(serving={"deadline_ms": 20_000, **self.serving})
        return [Line(recipe, SERVING)]

    def ask(self, *bodies: Mapping[str, Any], path: str = f"/v1/{LINE}/recommend") -> list[httpx.Response]:
        """The answers to some bodies, from one gateway that has then mirrored all of them."""
        clock = FakeClock()
        table = RoutingTable(recipe=LINE, epoch=1, stable="v1", shadow="v2", experiment="rel-2:shadow")
        seams = Seams(FakeScorer(self.server), FakeRouter(clock, table), self.events, clock)
        app = create_app(self.lines(), seams, Options(self.folder / "gateway", poll_s=3600))

        async def play() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app)
            client = httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=BROWSER)
            if self.remembers:
                app.state.gateway.memory.read(LINE)
            async with app.state.gateway.running(), client:
                return [await client.post(path, json={"user_id": "u-1", **body}) for body in bodies]

        return asyncio.run(play())

    def told(self, **body: Any) -> dict[str, Any]:
        """What one request is told."""
        return self.ask(body)[0].json()

    def items(self, **body: Any) -> list[str]:
        """The items that one request is told."""
        return [item["id"] for item in self.told(**body)["items"]]

    def refused(self, **body: Any) -> tuple[int, str]:
        """Status and code of a request that is refused."""
        response = self.ask(body)[0]
        return response.status_code, response.json()["code"]
