"""A gateway in processes of its own, as `recflow gateway up` starts it, with a real store, ledger and event log.

The model server's client is a double, said so by its name: v1 shows items as they come, v2 the other way round, and
v3 does so in answers to queries about winter alone.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import pyarrow as pa

from fakes.gateway_world import BROWSER, RECIPE, ask
from fakes.local_triton import REPOSITORY
from fakes.relevance import SERVING
from fakes.scripted_scorer import ScriptedScorer, falling, reversed_in_winter, rising
from host.processes import free_ports
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent, ReleaseState
from recflow.artifacts.plans import Plan
from recflow.artifacts.refs import Ref, RefKind
from recflow.cli.gateway import KEEP_ALIVE_S
from recflow.clients.clock import SystemClock
from recflow.clients.event_log import DuckEventLog
from recflow.clients.ledger import ObjectLedger
from recflow.clients.local_store import LocalStore
from recflow.clients.router import LedgerRouter
from recflow.config.recipe import Recipe
from recflow.config.sections.serving import ServingSection
from recflow.domain.request_ids import SigningKeys
from recflow.protocols import AsyncScorer

_SECONDS_A_CLICK = 2  # what one person may do in a minute is limited
_FOLDER, _WAIT_S = "GATEWAY_TEST_FOLDER", "GATEWAY_TEST_WAIT_S"


def application() -> Any:
    """What each worker process serves."""
    wait_s = float(os.environ[_WAIT_S])
    scorer = ScriptedScorer(
        {"v1": falling, "v2": rising, "v3": reversed_in_winter}, dict.fromkeys(("v1", "v2", "v3"), wait_s)
    )
    return serve_with(lambda _: scorer)


def serve_with(scorer: Callable[[Path], AsyncScorer], *secrets: bytes) -> Any:
    """A gateway over the folder that this process was given, whose model server's client is a double."""
    from recflow.gateway.app import create_app
    from recflow.gateway.service import Line, Options, Seams

    place = Place(Path(os.environ[_FOLDER]))
    # Two busy cores are shared with other tests: only what is meant to be late may be late.
    recipe = Recipe(name=RECIPE, owner="tests", serving=ServingSection(deadline_ms=20_000))
    seams = Seams(scorer(place.folder), place.router, place.events, SystemClock())
    return create_app(
        [Line(recipe, SERVING)],
        seams,
        Options(place.folder / "gateway", keys=SigningKeys(secrets), poll_s=0.05, lease_s=60),
    )


class Place:
    """The store, ledger, router and event log of one folder."""

    def __init__(self, folder: Path, recipe: str = RECIPE) -> None:
        self.folder, self.recipe, clock = folder, recipe, SystemClock()
        self.store = LocalStore(folder / "store")
        self.ledger = ObjectLedger(self.store, clock)
        self.router = LedgerRouter(self.store, self.ledger, clock)
        self.events = DuckEventLog(folder / "events", clock)

    def exposures(self) -> pa.Table:
        now = datetime.now(UTC)
        return self.events.exposures(self.recipe, now - timedelta(hours=1), now + timedelta(minutes=1))

    def outcomes(self) -> pa.Table:
        now = datetime.now(UTC)
        return self.events.outcomes(self.recipe, now - timedelta(hours=1), now + timedelta(minutes=1))

    def say(self, kind: EventKind, **fields: Any) -> int:
        """Append an event to the ledger; the epoch after it."""
        entry = self.ledger.append(self.recipe, LedgerEvent(kind=kind, **fields), after=self.ledger.head(self.recipe))
        return entry.state.epoch

    def adopt(self, version: str) -> None:
        self.say(EventKind.ADOPTED, candidate=candidate(version, day=1))

    def open_release(self, version: str, plan: Plan | None = None) -> None:
        self.say(
            EventKind.OPENED,
            release_id="rel-2",
            candidate=candidate(version, day=2),
            plan=plan or Plan(),
            to=ReleaseState.PACKAGED,
        )
        self.move(ReleaseState.CHECKED)

    def move(self, to: ReleaseState) -> int:
        return self.say(EventKind.MOVED, release_id="rel-2", to=to)

    def wait_for_gateways(self, epoch: int, count: int) -> None:
        """Until `count` gateways live and all of them route by the epoch."""
        deadline = time.monotonic() + 60
        while True:
            seen = self.router.acknowledged(self.recipe, epoch)
            if seen.complete and len(seen.live) == count:
                return
            assert time.monotonic() < deadline, f"{seen} after a minute"
            time.sleep(0.05)


def candidate(version: str, *, day: int) -> Candidate:
    package = Ref(kind=RefKind.PACKAGE, uri=f"memory://store/{version}", digest="0" * 64)
    trained = datetime(2011, 1, day, tzinfo=UTC)
    return Candidate(version=version, package=package, interval_label=f"2011-01-0{day}", trained_through=trained)


class GatewayProcess:
    """A running gateway; `stop` is SIGTERM, `kill` is SIGKILL."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], url: str) -> None:
        self.url = url
        paths = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY / "tests")])
        self.process = subprocess.Popen(command, env=os.environ | environment | {"PYTHONPATH": paths})

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).is_success:
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None, "the gateway ended"
            assert time.monotonic() < deadline, "no gateway after a minute"
            time.sleep(0.05)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def running_gateway(
    place: Place, *, workers: int = 1, wait_s: float = 0, factory: str = "fakes.gateway_process:application"
) -> Iterator[GatewayProcess]:
    """A gateway over the place's folder, with the double of the model server that `factory` gives it."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "uvicorn", factory, "--factory"]
    command += ["--port", str(port), "--workers", str(workers), "--timeout-keep-alive", str(KEEP_ALIVE_S)]
    command += ["--no-access-log", "--log-level", "warning"]
    environment = {_FOLDER: str(place.folder), _WAIT_S: str(wait_s)}
    gateway = GatewayProcess(command, environment, f"http://127.0.0.1:{port}")
    try:
        gateway.wait_until_ready()
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.stop()


class Load:
    """Requests without a pause from several users at once, in a thread, until it is told to end.

    `answers` are (user, answer) of status 200; `others` counts every other status and every broken connection. With
    `click` each user clicks on the first item of an answer every two seconds; `clicks` counts those that were taken.
    """

    def __init__(self, url: str, *, users: int = 8, recipe: str = RECIPE, click: bool = False) -> None:
        self.url, self.users, self.recipe, self._click = url, users, recipe, click
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.others: Counter[str] = Counter()
        self.clicks = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def wait_for(self, more: int) -> None:
        """Until that many more requests were answered."""
        goal, deadline = len(self.answers) + more, time.monotonic() + 60
        while len(self.answers) < goal:
            assert time.monotonic() < deadline, f"{len(self.answers)} answers, others {self.others}"
            time.sleep(0.01)

    def wait_for_each_user(self) -> None:
        """Until each user asked anew and was answered: the first of two more answers may have been asked for before."""
        since, deadline = len(self.answers), time.monotonic() + 60
        while True:
            more = Counter(user for user, _ in self.answers[since:])
            if len(more) == self.users and min(more.values()) > 1:
                return
            assert time.monotonic() < deadline, f"answers {more}, others {self.others}"
            time.sleep(0.01)

    async def _run(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=60, headers=BROWSER) as client:
            await asyncio.gather(*(self._user(client, f"u-{number}") for number in range(self.users)))

    async def _user(self, client: httpx.AsyncClient, user: str) -> None:
        clicked = 0.0
        while not self._ending.is_set():
            answer = await self._post(client, f"/v1/{self.recipe}/rank", ask(user_id=user))
            if answer is None:
                await asyncio.sleep(0.05)
                continue
            self.answers.append((user, answer))
            if self._click and time.monotonic() - clicked > _SECONDS_A_CLICK:
                clicked = time.monotonic()
                act = {"request_id": answer["request_id"], "user_id": user, "kind": "click"}
                act["item_id"] = answer["items"][0]["id"]
                taken = await self._post(client, "/v1/outcomes", act)
                self.clicks += taken is not None

    async def _post(self, client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        try:
            response = await client.post(path, json=body)
        except httpx.HTTPError as error:
            self.others[type(error).__name__] += 1
            return None
        if response.status_code == 200:
            return response.json()
        self.others[str(response.status_code)] += 1
        return None
