"""The toy task's line: its recipe, its releases through the real infra check, and a gateway that serves it."""

import asyncio
from collections.abc import Callable, Sequence
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
from fakes.toy_task import CLASSES, KIND, OTHER_WEIGHTS, TASK, WEIGHTS, write_toy_package
from recflow.artifacts.events import Comparison, Exposure, Outcome
from recflow.artifacts.ledger import LedgerState
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.config.sections.serving import ServingSection
from recflow.domain.routes import RoutingTable
from recflow.experiments.gate import online_judge
from recflow.gateway.app import create_app
from recflow.gateway.service import Line, Options, Seams
from recflow.rollout.infra_check import check

LINE = "toy_line"
CONFIRMED: dict[str, Any] = {
    "outcomes": {"kinds": [{"name": KIND}], "metrics": [{"name": "confirmed_rate", "kind": KIND}]},
    "online_gate": {
        "success_metric": "confirmed_rate",
        "max_relative_drop": 0.2,
        "planned_users": 400,
        "outcome_window_seconds": 15,
        "covariate_days": 0,
    },
}
SHADOWED = RoutingTable(recipe=LINE, epoch=1, stable="v1", shadow="v2", experiment="rel-2:shadow")


def toy_recipe(name: str = NAME, **sections: Any) -> Recipe:
    return Recipe(name=name, owner="tests", task="toy", **sections)


class ToyReleases(ReleaseWorld):
    """The world of releases, of a line whose task is the toy, with the real infra check."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        super().__init__(folder, toy_recipe(rollout=QUICK, **sections))
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
            Line(toy_recipe(LINE, serving=serving, **CONFIRMED), TASK.serving),
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

    @property
    def outcomes(self) -> list[Outcome]:
        return [record for record in self.events.records if isinstance(record, Outcome)]


class ToyShop:
    """Releases of the toy's line under shoppers, who ask its real gateway and confirm nine right classes of ten.

    The online gate reads what the gateway recorded; readings of health are scripted.
    """

    def __init__(self, folder: Path) -> None:
        self.world = ToyReleases(folder / "world", serving=ServingSection(deadline_ms=20_000), **CONFIRMED)
        self.world.judge = online_judge(self.world.events)
        self.gateways = folder / "gateway"
        self.visitors = 0

    def play(self, until: Callable[[LedgerState], bool], *, limit: int = 100) -> LedgerState:
        """Let time pass, ten seconds and twenty shoppers at a time, until `until` holds of the ledger."""
        asyncio.run(self._play(until, limit))
        return self.world.state

    async def _play(self, until: Callable[[LedgerState], bool], limit: int) -> None:
        world = self.world
        seams = Seams(FakeScorer(world.true_server), world.router, world.events, world.clock)
        options = Options(self.gateways, poll_s=3600, lease_s=10_000)
        app = create_app([Line(world.recipe, TASK.serving)], seams, options)
        gateway = app.state.gateway
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=BROWSER)
        async with gateway.running(), client:
            for _ in range(limit):
                while world.advance().changed:
                    await gateway.routes.poll()
                if until(world.state):
                    return
                for _ in range(20):
                    await self._visit(client)
                await gateway.shadow.settle()
                world.clock.tick(10)

    async def _visit(self, client: httpx.AsyncClient) -> None:
        self.visitors += 1
        meant = self.visitors % CLASSES
        user = {"user_id": f"u-{self.visitors}"}
        body = user | {"features": [5.0 * (place == meant) for place in range(4)]}
        told = (await client.post(f"/v1/{NAME}/classify", json=body)).json()
        if told["class"] == meant and self.visitors % 10:
            act = user | {"request_id": told["request_id"], "kind": KIND}
            assert (await client.post("/v1/outcomes", json=act)).status_code == 200
