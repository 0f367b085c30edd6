"""Five days of a model line: a first model, the next, and three that are stopped, each by another gate."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from demo.airflow_runs import Runs
from demo.screen import Screen
from demo.shop import Shop
from demo.sold_places import SPARED_REQUESTS
from host.airflow import REPOSITORY
from host.stack import Stack
from recflow.artifacts.ledger import LedgerEntry, LedgerState, ReleaseState
from recflow.artifacts.refs import Ref
from recflow.domain.intervals import day_interval
from recflow.errors import PermanentError
from recflow.rollout.operations import rollback
from recflow.wiring import Services, advance_release, finish_stage, run_stage, stage_call

S = ReleaseState
RECIPE = "search_relevance"
USERS = 6000
RELEASE_TIMEOUT_S = 600.0
GIVEN_UP = "outcomes of the day are joined to the wrong items"


@dataclass
class Told:
    """What one day left behind, for the tables at the end."""

    title: str
    day: date
    refs: dict[str, Ref] = field(default_factory=dict)
    ended: ReleaseState | None = None
    entries: list[LedgerEntry] = field(default_factory=list)


@dataclass(frozen=True)
class Story:
    """Plays the days on a running stack."""

    shop: Shop
    stack: Stack
    screen: Screen
    services: Services

    def play(self) -> list[Told]:
        """All five days, in order; PermanentError as soon as one does not end as it must."""
        first, second, third, fourth, fifth = self.shop.days
        one = self._day("day 1", first, "a first model, judged against the permanent floors", S.STABLE)
        two = self._day(
            "day 2", second, "the next day: simulated shoppers must show that it is no worse", S.STABLE, one
        )
        three = self._day("day 3", third, "labels are on the wrong items: the offline gate must refuse it", None)
        deceiving = "held-out labels are wrong too, and deceive the offline gate: shadow must hold it"
        four = self._day("day 4", fourth, deceiving, S.HELD, one)
        self._give_up(four)
        self._deliver_anew(self.shop.mend())
        self.shop.write_recipe(faulty=True)
        planted = f"a change with a fault: after {SPARED_REQUESTS} requests it sells the first two places of long lists"
        five = self._day("day 5", fifth, planted, S.ROLLED_BACK, one)
        self.shop.write_recipe()
        return [one, two, three, four, five]

    def _day(
        self, title: str, day: date, about: str, expected: ReleaseState | None, judged: Told | None = None
    ) -> Told:
        self.screen.chapter(f"{title}, {day}", about)
        told = Told(title, day)
        before = self._state().seq
        runs = Runs(self.stack.airflow, self.screen)
        returned = runs.run(f"{RECIPE}__retrain", {"day": day.isoformat()}, "retrain")
        told.refs = {task: Ref.model_validate(ref) for task, ref in returned.items() if isinstance(ref, dict)}
        verdict = told.refs["offline_gate"].numbers["verdict"]
        self.screen.say(f"offline gate: {verdict}")
        if verdict == "PASS":
            with self._shoppers(judged):
                told.ended = self._follow_release(before)
        told.entries = self._entries(before)
        if told.ended is not expected:
            raise PermanentError(
                f"{title} did not end as told", expected=str(expected or "no release"), seen=str(told.ended),
                action=f"recflow release history {RECIPE}",
            )  # fmt: skip
        return told

    def _give_up(self, told: Told) -> None:
        """What a person does about a held release that is wrong: roll it back, and say why."""
        recipe = self.services.recipe(RECIPE)
        held = self._state()
        self.screen.say(f"held: {held.release.reason if held.release else ''}")
        rollback(recipe, self.services, person="demo", reason=GIVEN_UP)
        while self._state().release is not None:
            advance_release(self.services, RECIPE)
            time.sleep(0.5)
        told.entries += self._entries(held.seq)
        self.screen.say(f"a person rolls it back: {GIVEN_UP}")

    def _deliver_anew(self, days: Sequence[date]) -> None:
        """Validate days again whose events were mended: the new partitions are the ones that the next retrain reads."""
        recipe = self.services.recipe(RECIPE)
        for day in days:
            interval = day_interval(day.isoformat(), recipe.schedule.timezone)
            call = stage_call(self.services, "validate_partition", recipe, interval, {})
            finish_stage(self.services, call, run_stage(self.services, call))
            self.screen.say(f"{day}: the join is mended, its events are validated anew")

    def _follow_release(self, before: int) -> ReleaseState:
        """Show the release's states as the ledger says them, until it is over."""
        deadline = time.monotonic() + RELEASE_TIMEOUT_S
        order = ["packaged", "checked", "shadow", "canary", "judging", "promoting"]
        while time.monotonic() < deadline:
            state = self._state()
            if state.release is not None and state.release.state is S.HELD:
                return S.HELD
            if state.release is not None:
                name = state.release.state.value
                place = order.index(name) if name in order else len(order) - 1
                self.screen.step(f"release    {name:40}", place, len(order))
            elif state.seq > before and state.last_state is not None and state.waiting is None:
                self.screen.step(f"release    {state.last_state:40}", 1, 1)
                return state.last_state
            time.sleep(0.5)
        raise PermanentError(
            "the release did not end", expected=f"an end in {RELEASE_TIMEOUT_S:.0f} s", seen="still open"
        )

    def _entries(self, after: int) -> list[LedgerEntry]:
        """The ledger's entries after one, oldest first."""
        return [entry for entry in self.services.ledger.entries(RECIPE) if entry.seq > after][::-1]

    def _state(self) -> LedgerState:
        head = self.services.ledger.head(RECIPE)
        return head.state if head else LedgerState()

    @contextmanager
    def _shoppers(self, judged: Told | None) -> Iterator[None]:
        """Simulated shoppers who search day 1's held-out judged queries while a release is under way."""
        if judged is None:
            yield
            return
        folder = self.services.artifacts.fetch(judged.refs["build_dataset"])
        command = [sys.executable, "-m", "recflow.cli.main", "replay", "--recipe", RECIPE, "--dataset", str(folder)]
        command += ["--users", str(USERS), "--seconds", str(int(RELEASE_TIMEOUT_S)), "--concurrency", "4"]
        environment = {**os.environ, **self.stack.environment()}
        self.stack.processes.start("replay", command, environment, cwd=REPOSITORY)
        try:
            yield
        finally:
            self.stack.processes.stop("replay")
