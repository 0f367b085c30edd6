"""The toy task's line: its recipe, its releases through the real infra check, and a gateway that serves it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.fake_router import FakeRouter
from fakes.fake_server import FakeModelServer, FakeScorer
from fakes.gateway_world import BROWSER
from fakes.release_world import NAME, QUICK, ReleaseWorld
from fakes.relevance import SERVING
from fakes.toy_task import OTHER_WEIGHTS, TASK, WEIGHTS, write_toy_package
from recflow.artifacts.events import Comparison, Exposure
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.config.sections.serving import ServingSection
from recflow.domain.routes import RoutingTable
from recflow.gateway.app import create_app
from recflow.gateway.service import Line, Options, Seams
from recflow.rollout.infra_check import check

LINE = "toy_line"
SHADOWED = RoutingTable(recipe=LINE, epoch=1, stable="v1", shadow="v2", experiment="rel-2:shadow")


def toy_recipe(name: str = NAME, **sections: Any) -> Recipe:
    return Recipe(name=name, owner="tests", task="toy", **sections)


class ToyReleases(ReleaseWorld):
    """The world of releases, of a line whose task is the toy, with the real infra check."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, toy_recipe(rollout=QUICK))
        self.true_server.clock = self.clock

    def package(self, day: int, recipe: Recipe | None = None, weights: Sequence[Sequence[float]] = WEIGHTS) -> Ref:
        folder = write_toy_package(self.folder / f"toy-{day}-{self._made}", weights=weights)
        (folder / "recipe.json").write_text((recipe or self.recipe).model_dump_json())
        return self.publish(RefKind.PACKAGE, day, folder)

    def check(self, server: Any, recipe: str, version: str, package: Path, **options: Any) -> Any:
        return check(server, recipe, version, package, **options)


@dataclass
class ToyGateway:
    """A gateway that serves the toy's line beside one of relevance, over the fake model server: v1, in shadow v2."""

    folder: Path
    server: FakeModelServer = field(default_factory=FakeModelServer)
    events: FakeEventLog = field(default_factory=FakeEventLog)

    def __post_init__(self) -> None:
        for version, weights in (("v1", WEIGHTS), ("v2", OTHER_WEIGHTS)):
            self.server.load(LINE, version, write_toy_package(self.folder / version, weights=weights))

    def ask(self, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
        """The answers to (method, path, body), from one gateway that has then mirrored all of them."""
        clock = FakeClock()
        serving = ServingSection(deadline_ms=20_000)
        lines = [
            Line(toy_recipe(LINE, serving=serving), TASK.serving),
            Line(Recipe(name="shop", owner="tests", serving=serving), SERVING),
        ]
        seams = Seams(FakeScorer(self.server), FakeRouter(clock, SHADOWED), self.events, clock)
        app = create_app(lines, seams, Options(self.folder / "gateway", poll_s=3600))

        async def play() -> list[httpx.Response]:
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=BROWSER)
            async with app.state.gateway.running(), client:
                return [await client.request(method, path, json=body) for method, path, body in requests]

        return asyncio.run(play())

    def classify(self, *features: float) -> httpx.Response:
        return self.ask(("POST", f"/v1/{LINE}/classify", {"user_id": "u-1", "features": list(features)}))[0]

    @property
    def exposures(self) -> list[Exposure]:
        return [record for record in self.events.records if isinstance(record, Exposure)]

    @property
    def comparisons(self) -> list[Comparison]:
        return [record for record in self.events.records if isinstance(record, Comparison)]
