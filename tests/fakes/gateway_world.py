import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from fakes.fake_router import FakeRouter
from fakes.relevance import SERVING
from fakes.scripted_scorer import ScriptedScorer, falling, rising
from recflow.artifacts.events import Arm, Comparison, Exposure, Outcome
from recflow.config.recipe import Recipe
from recflow.config.sections.cleaning import CleaningSection
from recflow.config.sections.data import DataSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.config.sections.serving import ServingSection
from recflow.domain.request_ids import SigningKeys
from recflow.domain.routes import ArmRange, RoutingTable
from recflow.gateway.app import create_app
from recflow.gateway.service import Line, Options, Seams

RECIPE = "search_relevance"
BROWSER = {"user-agent": "Mozilla/5.0"}
STABLE = RoutingTable(recipe=RECIPE, epoch=3, stable="v1")
SHADOW = RoutingTable(recipe=RECIPE, epoch=4, stable="v1", shadow="v2", experiment="rel-2:shadow")
HALVES = RoutingTable(
    recipe=RECIPE,
    epoch=5,
    stable="v1",
    experiment="rel-2:judging",
    salt="rel-2",
    arms=(
        ArmRange(arm=Arm.TREATMENT, version="v2", start=0, end=5000),
        ArmRange(arm=Arm.CONTROL, version="v1", start=5000, end=10000),
    ),
)
CANARY = HALVES.model_copy(
    update={
        "experiment": "rel-2:canary_0",
        "arms": (
            ArmRange(arm=Arm.TREATMENT, version="v2", start=0, end=500),
            ArmRange(arm=Arm.CONTROL, version="v1", start=9500, end=10000),
        ),
    }
)
ALL_TREATED = HALVES.model_copy(update={"arms": (ArmRange(arm=Arm.TREATMENT, version="v2", start=0, end=10000),)})


def ask(**changes: Any) -> dict[str, Any]:
    """A request for three items."""
    items = [
        {"id": name, "title": title} for name, title in (("a", "red hat"), ("b", "blue shoes"), ("c", "red shoes"))
    ]
    return {"user_id": "u-1", "query": "red shoes", "items": items} | changes


def act(**changes: Any) -> dict[str, Any]:
    """A click on the first item of an answer."""
    return {"request_id": f"{RECIPE}-1", "user_id": "u-1", "kind": "click", "item_id": "a"} | changes


def refused(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which says nothing else but a short message."""
    assert set(response.json()) == {"code", "message"}
    assert len(response.content) < 400
    return response.status_code, response.json()["code"]


@dataclass
class World:
    """A gateway over doubles, asked through its ASGI interface. Within `open` its background tasks run."""

    folder: Path
    serving: dict[str, Any] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()
    keys: SigningKeys = field(default_factory=SigningKeys)
    named: OutcomesSection = field(default_factory=OutcomesSection)
    cleaning: CleaningSection = field(default_factory=CleaningSection)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.router = FakeRouter(self.clock, STABLE)
        self.events = FakeEventLog()
        self.scorer = ScriptedScorer({"v1": falling, "v2": rising})

    def build(self):
        # Far more time than a busy machine takes: what runs out of time in these tests is meant to.
        serving = ServingSection(**{"deadline_ms": 20_000, **self.serving})
        data = DataSection(cleaning=self.cleaning)
        recipe = Recipe(name=RECIPE, owner="tests", data=data, serving=serving, outcomes=self.named)
        seams = Seams(self.scorer, self.router, self.events, self.clock)
        return create_app([Line(recipe, SERVING)], seams, Options(self.folder, self.tokens, self.keys, poll_s=3600))

    @asynccontextmanager
    async def open(self):
        self.app = self.build()
        self.gateway = self.app.state.gateway
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=BROWSER)
        async with self.gateway.running(), client:
            yield client

    def rank(self, body: dict[str, Any] | None = None, **kwargs: Any) -> httpx.Response:
        """One search, sent to a gateway that starts and stops around it."""
        return self.call("POST", f"/v1/{RECIPE}/rank", **({"json": body or ask()} | kwargs))

    def act(self, **changes: Any) -> httpx.Response:
        """One outcome, sent like that."""
        return self.call("POST", "/v1/outcomes", json=act(**changes))

    def call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Any request, sent like that."""

        async def once() -> httpx.Response:
            async with self.open() as client:
                return await client.request(method, path, **kwargs)

        return asyncio.run(once())

    @property
    def exposures(self) -> list[Exposure]:
        return [record for record in self.events.records if isinstance(record, Exposure)]

    @property
    def comparisons(self) -> list[Comparison]:
        return [record for record in self.events.records if isinstance(record, Comparison)]

    @property
    def outcomes(self) -> list[Outcome]:
        return [record for record in self.events.records if isinstance(record, Outcome)]
