"""Releases one after another through real gateway processes that sign, while shoppers ask without a pause.

The model server is a double, said so by its name: what it has loaded are files, so that gateway processes refuse to
answer for a version that was unloaded.
"""

import itertools
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakes import relevance
from fakes.fake_server import FakeScorer
from fakes.gateway_process import Load, Place, running_gateway, serve_with
from fakes.gateway_world import RECIPE
from fakes.release_world import ReleaseWorld
from fakes.tiny_model import overlap
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.ledger import ReleaseState
from recflow.artifacts.plans import CanaryStep, HealthLimits, JudgingPlan, Plan, ShadowPlan
from recflow.clients.clock import SystemClock
from recflow.clients.metrics import EventLogMetrics
from recflow.config.recipe import Recipe
from recflow.domain.signatures import Tensors
from recflow.errors import ServerUnavailable
from recflow.rollout import operations
from recflow.storage import ArtifactStore

USERS, WORKERS = 16, 2
_COMPACT_EVERY = 10
# Two busy cores are shared with other work: nobody is judged by latency here.
_PLAN = Plan(
    approve_first=False,
    shadow=ShadowPlan(min_seconds=0, min_requests=5),
    canary=(CanaryStep(percent=40, bake_seconds=0, min_requests=5),),
    judging=JudgingPlan(look_every_seconds=0.1),
    health=HealthLimits(max_p95_ms=60_000, max_p95_ratio=10_000),
)


@dataclass(frozen=True)
class LoadedVersions:
    """A double of the model server, in every process that opens the folder: a version is loaded while its file is."""

    folder: Path

    def load(self, recipe: str, version: str, package: Path) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / version).touch()

    def unload(self, recipe: str, version: str) -> None:
        (self.folder / version).unlink(missing_ok=True)

    def memory_mb(self) -> float:
        return 40.0

    def loaded(self, recipe: str) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in self.folder.glob("*")))

    def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        if not (self.folder / version).exists():
            raise ServerUnavailable(f"{version} is not loaded")
        query, items = relevance.asked(inputs)
        return relevance.answer([overlap(query, item.title, 1.0) for item in items])


class HostedWorld(ReleaseWorld):
    """The world of releases with a real clock, store, ledger, router and event log, as gateway processes have them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.place = Place(self.folder)
        self.clock, self.store = SystemClock(), self.place.store
        self.artifacts = ArtifactStore(self.store, self.folder / "cache")
        self.true_ledger = self.ledger = self.place.ledger
        self.router, self.events = self.place.router, self.place.events
        self.true_server = self.server = LoadedVersions(self.folder / "loaded")
        self.metrics = EventLogMetrics(self.events, self.clock)

    def poll(self) -> None:
        """Gateways poll by themselves."""


def signing_gateway() -> Any:
    """What each worker process serves."""
    return serve_with(lambda folder: FakeScorer(LoadedVersions(folder / "loaded")), b"k" * 32)


def hosted_world(folder: Path) -> HostedWorld:
    """A world whose line is the gateway processes' own."""
    return HostedWorld(folder, recipe=Recipe(name=RECIPE, owner="tests", rollout=_PLAN), judge_after_s=0)


def release_under_load(world: HostedWorld, releases: int, seed: int) -> tuple[Counter[str], Load]:
    """How the releases ended, a part of them refused, rolled back by a person or failed at random, and the load."""
    dice, ends = random.Random(seed), Counter[str]()
    first = world.record(1)
    while world.state.stable is None:
        world.advance()
    serving = running_gateway(world.place, workers=WORKERS, factory=f"{__name__}:signing_gateway")
    with serving as gateway, Load(gateway.url, users=USERS, click=True) as load:
        load.wait_for_each_user()
        assert {answer["version"] for _, answer in load.answers} == {first}
        for day in range(2, releases + 2):
            _one(world, dice, day, load)
            ends[str(world.state.last_state)] += 1
            if day % _COMPACT_EVERY == 0:
                world.events.compact()
        load.wait_for_each_user()
    return ends, load


def _one(world: HostedWorld, dice: random.Random, day: int, load: Load) -> None:
    world.verdict = dice.choice((Verdict.PASS, Verdict.PASS, Verdict.FAIL))
    leaves_in = dice.choice((ReleaseState.CANARY, ReleaseState.JUDGING, None, None))
    world.record(day)
    for _ in itertools.count():
        answered = len(load.answers)
        done = world.advance()
        release = done.state.release
        if release is None and not done.changed:
            return
        if release is not None and release.state is leaves_in:
            leaves_in = None
            operations.rollback(world.recipe, world, person="ada", reason="a complaint")
        elif not done.changed and len(load.answers) == answered:
            load.wait_for(1)
