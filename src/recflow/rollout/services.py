"""What the release room is handed: seams, and the two judges that live in other rooms."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from recflow.artifacts.decisions import Decision
from recflow.artifacts.ledger import OpenRelease
from recflow.artifacts.plans import InfraLimits
from recflow.config.recipe import Recipe
from recflow.protocols import (
    Clock,
    EventLog,
    Ledger,
    MetricsSource,
    ModelRegistry,
    ModelServer,
    Notifier,
    TrafficRouter,
)
from recflow.storage import ArtifactStore
from recflow.tasks.base import Serving, Task


class ReleaseServices(Protocol):
    """The clients that a release needs; `recflow.wiring.Services` has them all."""

    @property
    def clock(self) -> Clock: ...
    @property
    def artifacts(self) -> ArtifactStore: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def server(self) -> ModelServer: ...
    @property
    def router(self) -> TrafficRouter: ...
    @property
    def metrics(self) -> MetricsSource: ...
    @property
    def events(self) -> EventLog: ...
    @property
    def registry(self) -> ModelRegistry: ...
    @property
    def notifier(self) -> Notifier: ...

    def task(self, name: str) -> Task:
        """The task of a recipe's name for it; BadConfiguration when it cannot be loaded."""


class InfraCheck(Protocol):
    """Loads the package on the real server and compares its answers, speed and memory with the limits.

    Raises ModelWontLoad when the server refuses it, ServerUnavailable when the server does not answer.
    """

    def __call__(
        self,
        server: ModelServer,
        recipe: str,
        version: str,
        package: Path,
        *,
        serving: Serving[Any],
        baseline: str,
        limits: InfraLimits,
        clock: Clock,
    ) -> Decision: ...


OnlineJudge = Callable[[Recipe, OpenRelease, datetime], Decision]
"""The online gate at a moment. A text under `hold` in its numbers says why the release is held instead of judged."""
