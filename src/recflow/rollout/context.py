"""What one call of `advance` decides on: the recipe, the clients, the judges, the ledger's head and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from recflow.artifacts.ledger import LedgerEntry, LedgerState, OpenRelease
from recflow.config.recipe import Recipe
from recflow.domain.routes import routes
from recflow.protocols import TrafficReading
from recflow.rollout.due import halt_reason
from recflow.rollout.services import InfraCheck, OnlineJudge, ReleaseServices
from recflow.tasks.base import Serving


@dataclass(frozen=True)
class Context:
    """One call of `advance`: the recipe, the clients, the judges, the head that was read, and the time."""

    recipe: Recipe
    services: ReleaseServices
    judge: OnlineJudge
    check: InfraCheck
    head: LedgerEntry | None
    now: datetime
    paused: bool = False

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    @property
    def serving(self) -> Serving[Any]:
        """How the line's models are asked."""
        return self.services.task(self.recipe.task).serving

    @property
    def state(self) -> LedgerState:
        """The folded state that this call decides on."""
        return self.head.state if self.head else LedgerState()

    @property
    def release(self) -> OpenRelease:
        """The open release."""
        assert self.state.release is not None
        return self.state.release

    @property
    def stop(self) -> str:
        """Why nothing may move forward now; empty when it may."""
        return halt_reason(self.state, self.recipe.rollout.blackouts, self.now, paused=self.paused)

    @property
    def recent_start(self) -> datetime:
        """Where the newest traffic begins: the grace time ago, but not before the state's own requests."""
        return max(self._grace_ago, self.state_start)

    @property
    def state_start(self) -> datetime:
        """Where the requests of the release's state begin: when it came into it.

        Until a clock that was put back has caught up, the grace time ago: harm is seen all the same, and what carries
        the state's experiment is of this state.
        """
        entered = self.release.entered_at
        return entered if entered <= self.now else self._grace_ago

    @property
    def _grace_ago(self) -> datetime:
        return self.now - timedelta(seconds=self.release.plan.health.no_data_grace_seconds)

    @property
    def arms(self) -> tuple[str, str]:
        """The candidate's version and that of stable."""
        stable = self.state.stable
        return self.release.candidate.version, stable.version if stable else ""

    def reading(self, version: str, start: datetime) -> TrafficReading:
        """The requests of a version in the experiment that runs, since `start`."""
        experiment = routes(self.name, self.state).experiment
        return self.services.metrics.traffic(
            self.name, version=version, experiment=experiment, start=start, end=self.now
        )
