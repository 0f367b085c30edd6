"""How a day of any story is told: a retrain, its release among simulated shoppers, and the end that it must have."""

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Generic, TypeVar

from demo.airflow_runs import Runs
from demo.screen import Screen
from demo.shop import Shop
from host.airflow import REPOSITORY
from host.stack import Stack
from recflow.artifacts.ledger import LedgerEntry, LedgerState, ReleaseState
from recflow.artifacts.refs import Ref
from recflow.domain.intervals import day_interval
from recflow.errors import PermanentError
from recflow.rollout.operations import rollback
from recflow.wiring import Services, advance_release, finish_stage, run_stage, stage_call

S = ReleaseState
RELEASE_TIMEOUT_S = 600.0
AnyShop = TypeVar("AnyShop", bound=Shop)


@dataclass
class Told:
    """What one day left behind, for the tables at the end."""

    title: str
    day: date
    refs: dict[str, Ref] = field(default_factory=dict)
    ended: ReleaseState | None = None
    entries: list[LedgerEntry] = field(default_factory=list)


@dataclass(frozen=True)
class Story(ABC, Generic[AnyShop]):
    """Plays the days of a shop on a running stack."""

    shop: AnyShop
    stack: Stack
    screen: Screen
    services: Services

    @abstractmethod
    def play(self) -> list[Told]:
        """All days, in order; PermanentError as soon as one does not end as it must."""

    def day(
        self, title: str, day: date, about: str, expected: ReleaseState | None, shoppers: Sequence[str] = ()
    ) -> Told:
        """Retrain on a day and follow its release; `shoppers`: the Python module, and its arguments, that plays them.

        `expected` is how the release must end, None for a candidate that the offline gate must refuse.
        """
        self.screen.chapter(f"{title}, {day}", about)
        told = Told(title, day)
        before = self._state().seq
        runs = Runs(self.stack.airflow, self.screen)
        returned = runs.run(f"{self.shop.line}__retrain", {"day": day.isoformat()}, "retrain")
        told.refs = {task: Ref.model_validate(ref) for task, ref in returned.items() if isinstance(ref, dict)}
        verdict = told.refs["offline_gate"].numbers["verdict"]
        self.screen.say(f"offline gate: {verdict}")
        if verdict == "PASS":
            with self._shopping(shoppers):
                told.ended = self._follow_release(before)
        told.entries = self._entries(before)
        if told.ended is not expected:
            raise PermanentError(
                f"{title} did not end as told", expected=str(expected or "no release"), seen=str(told.ended),
                action=f"recflow release history {self.shop.line}",
            )  # fmt: skip
        return told

    def give_up(self, told: Told, reason: str) -> None:
        """What a person does about a held release that is wrong: roll it back, and say why."""
        recipe = self.services.recipe(self.shop.line)
        held = self._state()
        self.screen.say(f"held: {held.release.reason if held.release else ''}")
        rollback(recipe, self.services, person="demo", reason=reason)
        while self._state().release is not None:
            advance_release(self.services, self.shop.line)
            time.sleep(0.5)
        told.entries += self._entries(held.seq)
        self.screen.say(f"a person rolls it back: {reason}")

    def deliver_anew(self) -> None:
        """Mend the spoilt days and validate them again: the new partitions are those that the next retrain reads."""
        recipe = self.services.recipe(self.shop.line)
        for day in self.shop.mend():
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
        return [entry for entry in self.services.ledger.entries(self.shop.line) if entry.seq > after][::-1]

    def _state(self) -> LedgerState:
        head = self.services.ledger.head(self.shop.line)
        return head.state if head else LedgerState()

    @contextmanager
    def _shopping(self, module: Sequence[str]) -> Iterator[None]:
        """Simulated shoppers while a release is under way; nobody where there are none."""
        if not module:
            yield
            return
        environment = {**os.environ, **self.stack.environment()}
        self.stack.processes.start("shoppers", [sys.executable, "-m", *module], environment, cwd=REPOSITORY)
        try:
            yield
        finally:
            self.stack.processes.stop("shoppers")
