"""The gateway behind its HTTP face: assign, answer in time, record, mirror."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recflow.artifacts.events import Exposure, Fallback, Outcome, ShownItem
from recflow.config.recipe import Recipe
from recflow.domain.ranking import order
from recflow.domain.routes import RoutingTable
from recflow.gateway.answering import Answer, Deadline, Question, answer, ask
from recflow.gateway.assigning import Assignment, assign
from recflow.gateway.instruments import Instruments
from recflow.gateway.messages import OutcomeRequest, RankRequest, Refusal
from recflow.gateway.recording import Recorder
from recflow.gateway.routing import Routes
from recflow.gateway.shadow import Mirrored, Shadow
from recflow.protocols import AsyncScorer, Clock, EventLog, RankItem, TrafficRouter

_PROBE = Question("", "probe", (RankItem("probe", "probe"),))
_PROBE_S = 0.3


@dataclass(frozen=True)
class Seams:
    """The outside of a gateway."""

    scorer: AsyncScorer
    router: TrafficRouter
    events: EventLog
    clock: Clock


@dataclass(frozen=True)
class Options:
    """How a gateway runs. `folder` keeps the last routes; without `tokens` everybody may ask."""

    folder: Path
    tokens: tuple[str, ...] = ()
    poll_s: float = 0.25
    lease_s: float = 10


class Gateway:
    """One process's gateway. Limits are those of each recipe and count for this process alone."""

    def __init__(self, recipes: Sequence[Recipe], seams: Seams, options: Options) -> None:
        self.recipes = {recipe.name: recipe for recipe in recipes}
        self.seams, self._options = seams, options
        self.name = f"gateway-{uuid.uuid4().hex[:12]}"
        names = tuple(self.recipes)
        self.routes = Routes(seams.router, seams.clock, self.name, names, options.folder / "routes", options.lease_s)
        self.recorder = Recorder(seams.events, self.name)
        self.instruments = Instruments()
        self.shadow = Shadow(seams.scorer, self.recorder, self.instruments)
        self._running: Counter[str] = Counter()
        self._watch()

    def _watch(self) -> None:
        watch = self.instruments.watch
        watch("in_flight", "Rank requests being answered.", self._running.total)
        watch(
            "routes_stale",
            "1 while the lease of a recipe has run out.",
            lambda: any(map(self.routes.stale, self.recipes)),
        )
        watch("poll_failures", "Polls of the routes that failed.", lambda: self.routes.failures)
        watch("unlogged", "Records that could not be written.", lambda: self.recorder.lost)
        epochs: dict[str, Callable[[], float]] = {name: partial(self._epoch, name) for name in self.recipes}
        self.instruments.watch_epochs(epochs)

    def _epoch(self, recipe: str) -> float:
        return self.routes.table(recipe).epoch

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Poll and mirror in the background; at the end mirror what was accepted and say goodbye."""
        await self.routes.poll()
        tasks = [
            asyncio.create_task(self.routes.keep_polling(self._options.poll_s)),
            asyncio.create_task(self.shadow.run()),
        ]
        try:
            yield
            await self.shadow.settle()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.routes.leave()

    async def rank(self, recipe: Recipe, request: RankRequest, *, marked: str, forced: str) -> Exposure:
        """Answer one request and record it. 429 when too many are running, 504 when the deadline has passed."""
        deadline = Deadline(recipe.serving.deadline_ms / 1000)
        question = _question(recipe, request)
        with self._admitted(recipe), self.routes.using(recipe.name) as table:
            if forced and forced not in table.versions:
                raise Refusal(422, "unknown_version", "this version is not routed now")
            stale = self.routes.stale(recipe.name)
            place = assign(table, request.user_key, marked=marked, forced=forced, stale=stale)
            given = await answer(self.seams.scorer, question, place.attempts, deadline, place.fallback)
            late = deadline.passed
            exposure = self._exposure(request, table, place, None if late else given, deadline)
            await self.recorder.record(exposure)
        self.instruments.answered(exposure)
        self.shadow.offer(Mirrored(question, table, exposure, deadline.seconds))
        if late:
            raise Refusal(504, "deadline_exceeded", "no answer was found in time")
        return exposure

    async def record(self, request: OutcomeRequest) -> Outcome:
        """Record what a user did; 503 when it could not be written: it may be sent again under the same id."""
        recipe = request.request_id.partition("-")[0]
        if recipe not in self.recipes:
            raise Refusal(422, "unknown_request", "request_id is none of this gateway's")
        outcome = Outcome(
            outcome_id=request.key,
            request_id=request.request_id,
            at=self.seams.clock.now(),
            recipe=recipe,
            user_key=request.user_key,
            kind=request.kind,
            item_id=request.item_id,
            value=request.value,
        )
        if not await self.recorder.record(outcome):
            raise Refusal(503, "not_recorded", "the outcome could not be written; send it again", {"Retry-After": "5"})
        self.instruments.acted(outcome)
        return outcome

    async def problems(self) -> list[str]:
        """What is not as it should be, in words; each asks the stable version once."""
        found = [] if self.recorder.working else ["exposures cannot be written: experiments see no new traffic"]
        for name in self.recipes:
            found += [f"the routes of {name} are stale: stable serves everybody"] if self.routes.stale(name) else []
            stable = self.routes.table(name).stable
            probe = Question(name, _PROBE.query, _PROBE.items)
            if not stable:
                found.append(f"{name} has no stable version: answers are in lexical order")
            elif (await ask(self.seams.scorer, probe, stable, _PROBE_S))[1]:
                found.append(f"{name} is not answered by the model server: answers are in lexical order")
        return found

    @contextmanager
    def _admitted(self, recipe: Recipe) -> Iterator[None]:
        if self._running[recipe.name] >= recipe.serving.max_in_flight:
            raise Refusal(429, "too_many_requests", "too many requests are running", {"Retry-After": "1"})
        self._running[recipe.name] += 1
        try:
            yield
        finally:
            self._running[recipe.name] -= 1

    def _exposure(
        self, request: RankRequest, table: RoutingTable, place: Assignment, given: Answer | None, deadline: Deadline
    ) -> Exposure:
        """The record of an answer; without one (too late) nothing was shown and nobody served."""
        return Exposure(
            # The recipe in front lets any worker accept the outcomes of any other's answers.
            request_id=f"{table.recipe}-{uuid.uuid4().hex}",
            at=self.seams.clock.now(),
            recipe=table.recipe,
            user_key=request.user_key,
            anonymous=not request.user_id,
            marked=place.marked,
            epoch=table.epoch,
            experiment=place.experiment,
            arm=place.arm,
            assigned_version=place.version,
            served_version=given.served if given else "",
            fallback=given.fallback if given else Fallback.TIMEOUT,
            query=request.query,
            items=_shown(request, given.scores) if given else (),
            latency_ms=deadline.elapsed_s * 1000,
        )


def _question(recipe: Recipe, request: RankRequest) -> Question:
    items = tuple(RankItem(item.id, item.title, item.description) for item in request.items)
    return Question(recipe.name, request.query, items)


def _shown(request: RankRequest, scores: Sequence[float]) -> tuple[ShownItem, ...]:
    ranked = enumerate(order(scores), start=1)
    return tuple(
        ShownItem(item_id=request.items[index].id, position=position, score=scores[index]) for position, index in ranked
    )
