"""The gateway behind its HTTP face: assign, answer in time, record, mirror."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from recflow.artifacts.events import UNIDENTIFIED, Exposure, Fallback, Outcome
from recflow.config.recipe import Recipe
from recflow.domain.request_ids import SigningKeys, new_issue
from recflow.domain.requests import Refusal, Request
from recflow.domain.routes import RoutingTable
from recflow.domain.units import Unit
from recflow.errors import BadConfiguration
from recflow.gateway.admitting import Admission
from recflow.gateway.answering import Answer, Deadline, Question, answer, ask
from recflow.gateway.assigning import Assignment, assign
from recflow.gateway.cleaning import clean_request
from recflow.gateway.instruments import Instruments
from recflow.gateway.messages import OutcomeRequest
from recflow.gateway.recording import Recorder
from recflow.gateway.remarks import Remarks
from recflow.gateway.remembering import Memory
from recflow.gateway.routing import Routes
from recflow.gateway.shadow import Mirrored, Shadow
from recflow.protocols import AsyncScorer, Clock, EventLog, TrafficRouter
from recflow.tasks.base import Serving

_PROBE_S = 0.3


@dataclass(frozen=True)
class Line:
    """A model line that is served: its recipe, whose name is its route, and how its task is asked and answers."""

    recipe: Recipe
    serving: Serving[Any]


@dataclass(frozen=True)
class Seams:
    """The outside of a gateway."""

    scorer: AsyncScorer
    router: TrafficRouter
    events: EventLog
    clock: Clock


@dataclass(frozen=True)
class Options:
    """How a gateway runs. `folder` keeps the last routes; without `tokens` all may ask; `keys` sign request ids.

    `unserved` are lines that are not served here, by name, and why: the others are. Acts are read each `remember_s`,
    those of `remembered_users` users of a line are kept in mind.
    """

    folder: Path
    tokens: tuple[str, ...] = ()
    keys: SigningKeys = field(default_factory=SigningKeys)
    poll_s: float = 0.25
    lease_s: float = 10
    unserved: Mapping[str, str] = field(default_factory=dict)
    remember_s: float = 60
    remembered_users: int = 20_000


@dataclass(frozen=True)
class _Asker:
    """Whom an answer is given to, and under which id."""

    unit: Unit
    user_key: str
    request_id: str


class Gateway:
    """One process's gateway. Limits are those of each recipe and count for this process alone."""

    def __init__(self, lines: Sequence[Line], seams: Seams, options: Options) -> None:
        self.lines = _by_route(lines)
        self.seams, self._options = seams, options
        self.name = f"gateway-{uuid.uuid4().hex[:12]}"
        names = tuple(self.lines)
        self.routes = Routes(seams.router, seams.clock, self.name, names, options.folder / "routes", options.lease_s)
        self.recorder = Recorder(seams.events, self.name)
        self.instruments = Instruments()
        wanted = {name: line.serving.remembered for name, line in self.lines.items()}
        self.memory = Memory(seams.events, seams.clock, wanted, users=options.remembered_users)
        self.shadow = Shadow(seams.scorer, self.recorder, self.instruments)
        self._running: Counter[str] = Counter()
        without_items = {name for name, line in self.lines.items() if line.serving.acted_on == "answer"}
        recipes = {name: line.recipe for name, line in self.lines.items()}
        self.admission = Admission(recipes, options.keys, without_items)
        self.remarks = {name: Remarks(name) for name in names}
        self._watch()

    @property
    def signing(self) -> str:
        """For people: whether outcomes are held to the user that an answer was given to."""
        return self._options.keys.told

    def _watch(self) -> None:
        watch = self.instruments.watch
        watch("in_flight", "Requests being answered.", self._running.total)
        watch(
            "routes_stale",
            "1 while the lease of a recipe has run out.",
            lambda: any(map(self.routes.stale, self.lines)),
        )
        watch("poll_failures", "Polls of the routes that failed.", lambda: self.routes.failures)
        watch("unlogged", "Records that could not be written.", lambda: self.recorder.lost)
        epochs: dict[str, Callable[[], float]] = {name: partial(self._epoch, name) for name in self.lines}
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
            asyncio.create_task(self.memory.keep_reading(self._options.remember_s)),
        ]
        try:
            yield
            await self.shadow.settle()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.routes.leave()

    async def ask(self, line: Line, request: Request, *, marked: str, forced: str) -> Exposure:
        """Answer one request and record it. 429 when too many are running, 504 when the deadline has passed."""
        recipe = line.recipe
        deadline = Deadline(recipe.serving.deadline_ms / 1000)
        request = clean_request(line.serving, request, recipe.data.cleaning)
        asker = self._asker(recipe, request)
        request = line.serving.informed(request, self.seams.clock.now(), self.memory.of(recipe.name, asker.user_key))
        question = Question.of(recipe.name, line.serving, request)
        marked = marked or ("" if asker.unit.is_known else UNIDENTIFIED)
        with self._admitted(recipe), self.routes.using(recipe.name) as table:
            if forced and forced not in table.versions:
                raise Refusal(422, "unknown_version", "this version is not routed now")
            stale = self.routes.stale(recipe.name)
            place = assign(table, asker.user_key, marked=marked, forced=forced, stale=stale)
            given = await answer(self.seams.scorer, question, place.attempts, deadline, place.fallback)
            late = deadline.passed
            exposure = self._exposure(question, asker, table, place, None if late else given, deadline)
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
        found += [f"{name} is not served: {reason}" for name, reason in self._options.unserved.items()]
        for name, line in self.lines.items():
            found += [f"the routes of {name} are stale: stable serves everybody"] if self.routes.stale(name) else []
            stable, probe = self.routes.table(name).stable, line.serving.signature.probe()
            without = f"answers are given without a model ({line.serving.fallback})"
            if not stable:
                found.append(f"{name} has no stable version: {without}")
            elif (await ask(self.seams.scorer, name, probe, stable, _PROBE_S))[1]:
                found.append(f"{name} is not answered by the model server: {without}")
            found += self.remarks[name].problems
        return found

    def _asker(self, recipe: Recipe, request: Request) -> _Asker:
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
        question: Question,
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
            latency_ms=deadline.elapsed_s * 1000,
            context=question.request.context,
            **question.serving.exposed(question.request, given.outputs if given else None),
        )


def _by_route(lines: Sequence[Line]) -> dict[str, Line]:
    found = {line.recipe.name: line for line in lines}
    if len(found) < len(lines):
        routes = Counter(line.recipe.name for line in lines)
        twice = ", ".join(route for route, count in routes.items() if count > 1)
        raise BadConfiguration("two lines would be served at one route", expected="a name for each", seen=twice)
    return found
