"""The gateway behind its HTTP face: assign, answer in time, record, mirror."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from recflow.artifacts.events import UNIDENTIFIED, Exposure, Fallback, Outcome, ShownItem
from recflow.config.recipe import Recipe
from recflow.domain.ranking import order
from recflow.domain.request_ids import SigningKeys, new_issue
from recflow.domain.routes import RoutingTable
from recflow.domain.units import Unit
from recflow.gateway.admitting import Admission
from recflow.gateway.answering import Answer, Deadline, Question, answer, ask
from recflow.gateway.assigning import Assignment, assign
from recflow.gateway.cleaning import clean_request
from recflow.gateway.instruments import Instruments
from recflow.gateway.messages import OutcomeRequest, RankRequest, Refusal
from recflow.gateway.recording import Recorder
from recflow.gateway.remarks import Remarks
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
    """How a gateway runs. `folder` keeps the last routes; without `tokens` all may ask; `keys` sign request ids."""

    folder: Path
    tokens: tuple[str, ...] = ()
    keys: SigningKeys = field(default_factory=SigningKeys)
    poll_s: float = 0.25
    lease_s: float = 10


@dataclass(frozen=True)
class _Asker:
    """Whom an answer is given to, and under which id."""

    unit: Unit
    user_key: str
    request_id: str


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
        self.admission = Admission(self.recipes, options.keys)
        self.remarks = {name: Remarks(name) for name in names}
        self._watch()

    @property
    def signing(self) -> str:
        """For people: whether outcomes are held to the user that an answer was given to."""
        return self._options.keys.told

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
        request = clean_request(request, recipe.data.cleaning)
        question, asker = _question(recipe, request), self._asker(recipe, request)
        marked = marked or ("" if asker.unit.is_known else UNIDENTIFIED)
        with self._admitted(recipe), self.routes.using(recipe.name) as table:
            if forced and forced not in table.versions:
                raise Refusal(422, "unknown_version", "this version is not routed now")
            stale = self.routes.stale(recipe.name)
            place = assign(table, asker.user_key, marked=marked, forced=forced, stale=stale)
            given = await answer(self.seams.scorer, question, place.attempts, deadline, place.fallback)
            late = deadline.passed
            exposure = self._exposure(request, asker, table, place, None if late else given, deadline)
            await self.recorder.record(exposure)
        self._tell(exposure, asker.unit)
        self.shadow.offer(Mirrored(question, table, exposure, deadline.seconds))
        if late:
            raise Refusal(504, "deadline_exceeded", "no answer was found in time")
        return exposure

    async def record(self, request: OutcomeRequest) -> Outcome:
        """Record what a user did. 422 and 429 as `Admission`; 503 when it could not be written: send it again."""
        outcome = self.admission.admit(request, self.seams.clock.now())
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
            found += self.remarks[name].problems
        return found

    def _asker(self, recipe: Recipe, request: RankRequest) -> _Asker:
        unit, issued = request.unit, new_issue(self.seams.clock.now())
        user_key = unit.keys(issued)[0]
        return _Asker(unit, user_key, str(self._options.keys.request_id(recipe.name, issued, user_key)))

    def _tell(self, exposure: Exposure, unit: Unit) -> None:
        self.instruments.answered(exposure, nobody=unit.nobody)
        self.remarks[exposure.recipe].note(nobody=unit.nobody)

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
        self,
        request: RankRequest,
        asker: _Asker,
        table: RoutingTable,
        place: Assignment,
        given: Answer | None,
        deadline: Deadline,
    ) -> Exposure:
        """The record of an answer; without one (too late) nothing was shown and nobody served."""
        return Exposure(
            request_id=asker.request_id,
            at=self.seams.clock.now(),
            recipe=table.recipe,
            user_key=asker.user_key,
            anonymous=not asker.unit.user,
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
            context=request.context,
        )


def _question(recipe: Recipe, request: RankRequest) -> Question:
    items = tuple(RankItem(item.id, item.title, item.description) for item in request.items)
    return Question(recipe.name, request.query, items)


def _shown(request: RankRequest, scores: Sequence[float]) -> tuple[ShownItem, ...]:
    ranked = enumerate(order(scores), start=1)
    return tuple(
        ShownItem(item_id=request.items[index].id, position=position, score=scores[index]) for position, index in ranked
    )
