"""A whole installation in memory, in which releases are played through in milliseconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fakes.fake_clock import FakeClock
from fakes.fake_metrics import FakeMetrics
from fakes.fake_notifier import FakeNotifier
from fakes.fake_registry import FakeRegistry
from fakes.fake_server import Crash, FakeModelServer
from fakes.memory_store import MemoryStore
from fakes.sample_events import comparison
from fakes.tiny_model import write_package
from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.ledger import LedgerState, OpenRelease
from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.plans import CanaryStep, HealthLimits, JudgingPlan, Plan, ShadowPlan
from recflow.artifacts.refs import Ref, RefKind
from recflow.clients.ledger import ObjectLedger
from recflow.clients.router import LedgerRouter
from recflow.config.recipe import Recipe
from recflow.domain.routes import RoutingTable, routes
from recflow.protocols import TrafficReading
from recflow.rollout.candidates import record_candidate
from recflow.rollout.machine import Advanced, advance
from recflow.storage import ArtifactStore, list_files
from recflow.tasks.base import Task
from recflow.tasks.registry import find_task

HEALTHY = TrafficReading(requests=500, errors=0, p95_ms=20.0)
SILENT = TrafficReading(requests=0, errors=0, p95_ms=None)
SICK = TrafficReading(requests=500, errors=100, p95_ms=20.0)
NAME = "shop_search"
QUICK = Plan(
    approve_first=False,
    shadow=ShadowPlan(min_seconds=10, min_requests=5),
    canary=(
        CanaryStep(percent=5, bake_seconds=20, min_requests=5),
        CanaryStep(percent=20, bake_seconds=20, min_requests=5),
    ),
    judging=JudgingPlan(max_judging_hours=1, look_every_seconds=10),
    health=HealthLimits(no_data_grace_seconds=60),
    hold_grace_seconds=600,
)


def interval(day: int) -> Interval:
    """The day's interval, counted from 1 January 2011."""
    start = datetime(2011, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
    return Interval(label=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(days=1))


def decide(verdict: Verdict, reason: str = "as scripted", **numbers: Any) -> Decision:
    return Decision(gate="online", verdict=verdict, reasons=(reason,), numbers=numbers)


class Tripwire:
    """Counts the calls that go through its proxies and kills the caller before or after one of them.

    `rival` is called once, before the next entry of the ledger: what another host does in between.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.at: tuple[int, str] | None = None
        self.rival: Callable[[], None] | None = None

    def arm(self, number: int, moment: str) -> None:
        self.calls, self.at = [], (number, moment)

    def call(self, name: str, method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if name == "ledger.append" and self.rival is not None:
            rival, self.rival = self.rival, None
            rival()
        number = len(self.calls)
        self.calls.append(name)
        self._trip(number, "before")
        result = method(*args, **kwargs)
        self._trip(number, "after")
        return result

    def _trip(self, number: int, moment: str) -> None:
        if self.at == (number, moment):
            self.at = None
            raise Crash(f"{moment} {self.calls[-1]}")


class Wired:
    """An object whose method calls go over a tripwire."""

    def __init__(self, name: str, target: Any, wire: Tripwire, only: tuple[str, ...] = ()) -> None:
        self._name, self._target, self._wire, self._only = name, target, wire, only

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._target, method)
        if not callable(found) or (self._only and method not in self._only):
            return found
        return lambda *args, **kwargs: self._wire.call(f"{self._name}.{method}", found, args, kwargs)


@dataclass
class ReleaseWorld:
    """Services with fakes behind them, one gateway that polls, and scripted judges.

    `judge_after_s` seconds into judging the online gate says `verdict`; `check_verdict` is the infra check's.
    """

    folder: Path
    recipe: Recipe = field(default_factory=lambda: Recipe(name=NAME, owner="search", rollout=QUICK))
    verdict: Verdict = Verdict.PASS
    judge_after_s: float = 30
    check_verdict: Verdict = Verdict.PASS
    gateways: tuple[str, ...] = ("gateway-1",)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.artifacts = ArtifactStore(self.store, self.folder / "cache")
        self.true_ledger = ObjectLedger(self.store, self.clock)
        self.true_server, self.scripted_metrics = FakeModelServer(), FakeMetrics()
        self.metrics, self.events = self.scripted_metrics, self.scripted_metrics.events
        self.true_registry, self.true_notifier = FakeRegistry(), FakeNotifier()
        self.wire = Tripwire()
        self.ledger: Any = Wired("ledger", self.true_ledger, self.wire, ("append",))
        self.server: Any = Wired("server", self.true_server, self.wire)
        self.router: Any = Wired(
            "router", LedgerRouter(self.store, self.true_ledger, self.clock), self.wire, ("acknowledged",)
        )
        self.registry: Any = Wired("registry", self.true_registry, self.wire)
        self.notifier: Any = Wired("notifier", self.true_notifier, self.wire)

    def copy(self) -> "ReleaseWorld":
        """Another world that stands where this one stands; files are shared, since they never change."""
        twin = ReleaseWorld(
            self.folder, self.recipe, self.verdict, self.judge_after_s, self.check_verdict, self.gateways
        )
        twin.clock.time = self.clock.time
        twin.store.objects = dict(self.store.objects)
        twin.true_server.packages = dict(self.true_server.packages)
        twin.metrics.set = dict(self.metrics.set)
        twin.true_registry.packages = dict(self.true_registry.packages)
        twin.true_registry._aliases = {name: dict(aliases) for name, aliases in self.true_registry._aliases.items()}
        return twin

    def package(self, day: int, recipe: Recipe | None = None) -> Ref:
        """A published package of that day's interval, made by a recipe, the world's own unless another is given."""
        folder = write_package(self.folder / f"package-{day}-{self._made}", weight=1.0)
        (folder / "recipe.json").write_text((recipe or self.recipe).model_dump_json())
        return self.publish(RefKind.PACKAGE, day, folder)

    def publish(self, kind: RefKind, day: int, folder: Path) -> Ref:
        manifest = Manifest(
            kind=kind,
            recipe=self.recipe.name,
            stage="test",
            stage_version=1,
            key=f"{kind}-{day}-{self._made}",
            attempt="a1",
            interval=interval(day),
            inputs={},
            files=list_files(folder),
            numbers={},
            reusable=True,
            created_at=datetime(2011, 1, 1, tzinfo=UTC),
        )
        return self.artifacts.publish(manifest, folder)

    def decision(self, day: int, verdict: Verdict = Verdict.PASS) -> Ref:
        folder = self.folder / f"decision-{day}-{self._made}"
        folder.mkdir()
        (folder / "decision.json").write_text(decide(verdict).model_dump_json())
        return self.publish(RefKind.DECISION, day, folder)

    def record(self, day: int, package: Ref | None = None) -> str:
        """Record the day's candidate, whose requests are healthy; its version."""
        recorded = record_candidate(
            self.recipe,
            interval(day),
            package=package or self.package(day),
            checkpoint=None,
            decision=self.decision(day),
            ledger=self.true_ledger,
            artifacts=self.artifacts,
        )
        assert recorded.recorded, recorded.reason
        self.scripted_metrics.set.setdefault(recorded.version, HEALTHY)
        return recorded.version

    def judge(self, recipe: Recipe, release: OpenRelease, now: datetime) -> Decision:
        waited = (now - release.entered_at).total_seconds()
        return decide(self.verdict if waited >= self.judge_after_s else Verdict.INCONCLUSIVE)

    def check(self, server: Any, recipe: str, version: str, package: Path, **_: Any) -> Decision:
        server.load(recipe, version, package)
        return decide(self.check_verdict)

    def compare(self, taus: Sequence[float | None], *, length: int = 8, **fields: Any) -> None:
        """Shadow compares one request a tau, each of a query of its own, and of what `fields` say."""
        assert self.state.release is not None
        assert self.state.stable is not None
        told = {
            "at": self.clock.now(), "recipe": self.recipe.name, "experiment": self.table.experiment, "length": length,
            "shown_version": self.state.stable.version, "shadow_version": self.state.release.candidate.version,
        }  # fmt: skip
        begun = len(self.events.records)
        self.events.append(
            "gateway-1",
            [
                comparison(f"r-{begun + number}", tau=tau, **({"query": f"shoes {number}"} | told | fields))
                for number, tau in enumerate(taus)
            ],
        )

    def task(self, name: str) -> Task:
        return find_task(name)

    def poll(self) -> None:
        """Every gateway takes the newest routes."""
        for gateway in self.gateways:
            self.router.acknowledge(gateway, {self.recipe.name: self.table.epoch}, lease_s=10_000)

    def advance(self, *, paused: bool = False) -> Advanced:
        return advance(self.recipe, self, self.judge, self.check, paused=paused)

    def play(self, until: Callable[[LedgerState], bool] | None = None, limit: int = 400) -> LedgerState:
        """Advance, letting time pass and gateways poll whenever nothing is due, until all is quiet or `until` holds."""
        for _ in range(limit):
            if until is not None and until(self.state):
                break
            self.poll()
            done = self.advance()
            if not done.changed:
                if done.wait_s is None or done.state.release is None:
                    break
                self.clock.tick(max(done.wait_s, 1))
        return self.state

    def stable(self, day: int) -> str:
        """Bring the day's candidate to stable, without its history of calls."""
        version = self.record(day)
        self.play()
        assert self.state.stable is not None
        assert self.state.stable.version == version
        return version

    @property
    def _made(self) -> int:
        """Numbers what is made in the folder, which copies share."""
        return len(list(self.folder.iterdir()))

    @property
    def state(self) -> LedgerState:
        head = self.true_ledger.head(self.recipe.name)
        return head.state if head else LedgerState()

    @property
    def table(self) -> RoutingTable:
        return routes(self.recipe.name, self.state)

    @property
    def loaded(self) -> tuple[str, ...]:
        return tuple(sorted(version for _, version in self.true_server.packages))

    @property
    def path(self) -> list[str]:
        """The states that the ledger went through, oldest first, with what is not a move in brackets."""
        entries = list(self.true_ledger.entries(self.recipe.name))[::-1]
        return [str(entry.event.to or f"({entry.event.kind})") for entry in entries]
