"""The seams: what recflow needs of the outside, as small as it can be.

Each protocol has a fake in `tests/fakes`, and the fake and every real client pass the same test suite.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from recflow.artifacts.events import Arm, Record
from recflow.artifacts.ledger import LedgerEntry, LedgerEvent
from recflow.artifacts.refs import Numbers, Ref
from recflow.domain.routes import RoutingTable
from recflow.domain.signatures import Tensors

if TYPE_CHECKING:
    import duckdb


class Clock(Protocol):
    """Time as a value that tests can turn."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""


class ObjectStore(Protocol):
    """Objects under slash-separated keys. A reader sees a whole object or none."""

    @property
    def root(self) -> str:
        """The URI that every key is below, without a trailing slash."""

    def put(self, key: str, data: bytes | Path, *, if_absent: bool = False) -> bool:
        """Store bytes or a file. With `if_absent` the first writer wins: False says that the key was taken.

        Raises StoreFull when there is no space and StoreUnavailable when the store does not answer.
        """

    def get(self, key: str) -> bytes | None:
        """The whole object, None when it does not exist."""

    def download(self, key: str, target: Path) -> bool:
        """Stream an object into a file; False when it does not exist."""

    def list(self, prefix: str, *, limit: int | None = None) -> list[str]:
        """Keys below a prefix in ascending order, at most `limit`."""

    def delete(self, key: str) -> None:
        """Remove an object; removing what is absent is fine."""


class Ledger(Protocol):
    """The append-only record of one recipe's decisions and routes."""

    def head(self, recipe: str) -> LedgerEntry | None:
        """The newest entry, None for an empty ledger: one list and one get."""

    def append(self, recipe: str, event: LedgerEvent, *, after: LedgerEntry | None, actor: str = "") -> LedgerEntry:
        """Append `event` after the entry that the caller has read.

        Raises LedgerConflict when somebody appended first and ReleaseRefused when the state does not allow it.
        """

    def entries(self, recipe: str) -> Iterator[LedgerEntry]:
        """All entries, newest first; ArtifactCorrupt where the hash chain is broken."""


class JobState(StrEnum):
    """How a submitted job stands. LOST: its process is gone and left no exit code."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True)
class JobSpec:
    """A command to run as `processes` ranks. The same name is the same job: a second submit reconnects.

    The job itself keeps `timeout_s`, whoever waits for it: when it is over the job ends with `JobTooLong.exit_code`.
    """

    name: str
    command: tuple[str, ...]
    processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass(frozen=True)
class JobStatus:
    """State, exit code once ENDED (negative: killed by that signal), and the end of the log."""

    state: JobState
    exit_code: int | None = None
    log_tail: str = ""


class JobLauncher(Protocol):
    """Starts heavy stages outside the scheduler's workers, and can be met again after a crash of the caller."""

    def submit(self, spec: JobSpec) -> None:
        """Start the job unless one of this name is running already."""

    def poll(self, name: str) -> JobStatus:
        """How the job stands; returns at once."""

    def cancel(self, name: str) -> None:
        """End every process of the job; ending what is not running is fine."""


class ModelServer(Protocol):
    """A server that holds several versions of a model line, each under its own model name."""

    def load(self, recipe: str, version: str, package: Path) -> None:
        """Install the package folder and load it; returns when it answers. Loading what is loaded is fine.

        Raises ModelWontLoad when the server refuses it, ServerUnavailable when the server does not answer.
        """

    def unload(self, recipe: str, version: str) -> None:
        """Unload and remove a version; unloading what is absent is fine."""

    def loaded(self, recipe: str) -> tuple[str, ...]:
        """Versions that answer now, in ascending order."""

    def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        """The version's answer to one request, as named tensors without a batch axis.

        Raises ServerUnavailable on time-out or when the version does not answer, AnswerMalformed for outputs that are
        not what the package's signature says (name, type, shape, numbers), BadConfiguration for inputs that are not.
        """

    def memory_mb(self) -> float:
        """Resident memory of the server and its model processes, in MiB."""


class AsyncScorer(Protocol):
    """The gateway's side of the model server: the same answers, awaited."""

    async def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        """The version's answer to one request; raises what `ModelServer.infer` does."""


@dataclass(frozen=True)
class Acknowledgement:
    """Which live gateways have routed by at least an epoch, and which have not yet."""

    live: tuple[str, ...]
    lagging: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether no live gateway lags."""
        return not self.lagging


class TrafficRouter(Protocol):
    """The way routes reach the gateways and their acknowledgement comes back."""

    def table(self, recipe: str) -> RoutingTable | None:
        """The newest routing table, None before the first ledger entry."""

    def acknowledge(self, gateway: str, epochs: Mapping[str, int], *, lease_s: float) -> None:
        """A gateway says which epoch of each recipe it routes by, and renews its lease."""

    def acknowledged(self, recipe: str, epoch: int) -> Acknowledgement:
        """Who of the gateways with a running lease has reached `epoch`."""


class EventLog(Protocol):
    """Exposures, outcomes and comparisons: appended by gateways, read by experiments, releases, watch and training.

    A request id is given to one answer only, so exposures are not deduplicated; outcomes are: shops send them again.
    """

    def append(self, worker: str, records: Sequence[Record]) -> None:
        """Write records to the worker's log; they survive a kill of this process when it returns."""

    def exposures(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """Exposures with start <= at < end, one row a request, in time order, of both schemas.

        Columns: `columns`, or all of `Exposure`; `items` is a list of structs (item_id, position, score, propensity),
        `context` a map. Rows that are marked `shadow` are mirrored requests: nobody saw them, their `items` are empty.
        """

    def outcomes(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """Outcomes with start <= at < end, one row for each (outcome_id, request_id, item_id, kind), in time order."""

    def comparisons(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        """What shadow compared with start <= at < end, one row a mirrored request, in time order.

        Columns: `columns`, or all of `Comparison`; `items` is a list of structs. None of them is an exposure.
        """

    def erase_comparisons(self, recipe: str, user_keys: Collection[str]) -> int:
        """Empty user key, query and items of these users' comparisons, marked `erased`; how many could not be, yet.

        Those stand where a gateway still writes: ask again some minutes later.
        """

    def facts(
        self, recipe: str, start: datetime, end: datetime, *, look_back: timedelta = ...
    ) -> "AbstractContextManager[duckdb.DuckDBPyConnection]":
        """A connection whose views `shown`, `acted` and `exposures` hold a window, far narrower than the records.

        `shown` has the shoppers' searches (unmarked, not erased), `acted` each act once with why it does not count
        (`reason`, empty when it does); columns and rules: `domain.matching`. Searches and acts with start <= at < end,
        and acts on answers of the day before the window only. `exposures` are the records, for a few look-ups.

        `searches_before` (user_hash, searches) and `acts_before` (user_hash, kind, nth, value, acts) tell how often a
        user searched, and acted alike, from `look_back` before the window to its start, in any number of rows.
        """

    def compact(self) -> int:
        """Turn finished segments into Parquet; the number of records moved. Safe to run twice, or two at once."""


@dataclass(frozen=True)
class TrafficReading:
    """Requests of one group in a window: how many, how many by fallback, and p95 in ms (None without data).

    No version is to blame for answers under a stale routing table (`stale_routes`): they are requests but no errors,
    and in an experiment, where nobody met the assigned version by them, they do not count at all.
    """

    requests: int
    errors: int
    p95_ms: float | None


@dataclass(frozen=True)
class OutcomeReading:
    """Acts in a window that belong to an answer, and the others by reason (see `domain.matching`)."""

    matched: int
    unmatched: Mapping[str, int]


@dataclass(frozen=True)
class TrafficShares:
    """Shoppers and their requests by assigned arm while an experiment runs, those outside its two arms included.

    `squares` adds up the squared requests of each user: how uneven they are. `heaviest` are up to three
    (user_key, requests), the most first.
    """

    users: Mapping[Arm, int]
    requests: Mapping[Arm, int]
    squares: Mapping[Arm, float]
    heaviest: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Activity:
    """Who came to some versions in a window: users by assigned version, and the seconds of slots with a request."""

    users: Mapping[str, int]
    busy_s: float


class MetricsSource(Protocol):
    """Live indicators of serving."""

    def traffic(self, recipe: str, *, version: str, experiment: str, start: datetime, end: datetime) -> TrafficReading:
        """Requests that were assigned to `version` (in `experiment` unless empty) with start <= at < end."""

    def outcomes(self, recipe: str, start: datetime, end: datetime) -> OutcomeReading:
        """Acts with start <= at < end; those on marked requests (bots, employees) are neither."""

    def shares(self, recipe: str, *, experiment: str, start: datetime, end: datetime) -> TrafficShares:
        """Unmarked requests of `experiment` and of the stable arm beside it with start <= at < end."""

    def activity(
        self,
        recipe: str,
        *,
        versions: Sequence[str],
        experiments: Sequence[str],
        start: datetime,
        end: datetime,
        slot_s: float = 60,
    ) -> Activity:
        """Requests that were assigned to the versions in one of the experiments ("": in none), start <= at < end.

        Slots of `slot_s` seconds are counted from `start`. Answers under stale routes do not count: who gives them does
        not yet know of the experiment.
        """

    def newest_event(self, recipe: str) -> datetime | None:
        """When the newest exposure was logged, None without any."""


class ModelRegistry(Protocol):
    """Experiment tracking and the registry: a projection of the ledger for people, never the truth."""

    def log_run(
        self, recipe: str, run: str, *, params: Numbers, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> str:
        """Record one finished run and give back its id; the same run name is recorded once."""

    def log_curve(self, run_id: str, name: str, points: Sequence[tuple[int, float]]) -> None:
        """Record a metric's course as (step, value)."""

    def register(self, recipe: str, version: str, package: Ref, *, run_id: str = "") -> None:
        """Make the version known to the registry; registering it twice is fine."""

    def set_alias(self, recipe: str, alias: str, version: str) -> None:
        """Point an alias (`champion`, `challenger`) at a version."""

    def aliases(self, recipe: str) -> dict[str, str]:
        """Every alias with its version."""


@dataclass(frozen=True)
class Card:
    """What a person on call is told: class, whether shoppers are affected, cause, one command, runbook slug."""

    title: str
    shoppers_affected: bool
    cause: str
    command: str
    runbook: str


class Notifier(Protocol):
    """Tells a person."""

    def notify(self, card: Card) -> None:
        """Deliver one card; a failure to deliver is logged and never fails the caller."""
