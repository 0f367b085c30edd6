"""What signing costs the gateway: answers, each with one outcome, a second of CPU with keys against without.

Both gateways live in this process and are asked without a network, turn and turn about, so that nothing but the gateway
itself and its event log is measured and whatever else the host does hits both alike. The model server is a double that
answers at once: with a real one the share of signing is smaller.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.append(str(REPOSITORY / "tests"))

from fakes.fake_clock import FakeClock  # noqa: E402
from fakes.fake_router import FakeRouter  # noqa: E402
from fakes.gateway_world import RECIPE, STABLE  # noqa: E402
from fakes.scripted_scorer import ScriptedScorer, falling  # noqa: E402
from recflow.clients.clock import SystemClock  # noqa: E402
from recflow.clients.event_log import DuckEventLog  # noqa: E402
from recflow.config.recipe import Recipe  # noqa: E402
from recflow.config.sections.serving import ServingSection  # noqa: E402
from recflow.domain.request_ids import SigningKeys  # noqa: E402
from recflow.gateway.app import create_app  # noqa: E402
from recflow.gateway.service import Line, Options, Seams  # noqa: E402
from recflow.tasks.relevance.task import TASK  # noqa: E402

# Two keys, as while one is changed: the dearest case for outcomes.
KEYS = SigningKeys((b"new" * 16, b"old" * 16))
ITEMS, TURN = 20, 20
TARGET_PERCENT = 2.0


@dataclass
class Side:
    """One gateway: its application, and the seconds of CPU a request took in each turn."""

    app: Any
    ranks: list[float]
    outcomes: list[float]


def measure(quick: bool) -> list[dict[str, Any]]:
    """One dict a figure; `quick` asks for seconds instead of minutes."""
    turns = 20 if quick else 800
    with tempfile.TemporaryDirectory(prefix="recflow-signing-") as scratch:
        plain, signed = (
            _side(Path(scratch) / name, keys) for name, keys in (("plain", SigningKeys()), ("signed", KEYS))
        )
        asyncio.run(_play(plain, signed, turns))
    return [_figure(plain, signed)]


def _figure(plain: Side, signed: Side) -> dict[str, Any]:
    """Throughput that is lost, from the median over pairs of neighbouring turns; its two parts beside it."""
    both = [
        [rank + outcome for rank, outcome in zip(side.ranks, side.outcomes, strict=True)] for side in (plain, signed)
    ]
    return {
        "name": "signing",
        "value": _lost_percent(*both),
        "unit": "% of throughput lost",
        "against": f"the same gateway without keys, {1 / statistics.median(both[0]):.0f} answers/s of CPU",
        "target": TARGET_PERCENT,
        "better": "lower",
        "answers_lost_percent": _lost_percent(plain.ranks, signed.ranks),
        "outcomes_lost_percent": _lost_percent(plain.outcomes, signed.outcomes),
        "turns": len(plain.ranks),
    }


def _lost_percent(plain: list[float], signed: list[float]) -> float:
    ratio = statistics.median(with_keys / without for without, with_keys in zip(plain, signed, strict=True))
    return round(100 * (1 - 1 / ratio), 2)


def _side(folder: Path, keys: SigningKeys) -> Side:
    serving = ServingSection(deadline_ms=20_000, max_outcomes_per_minute=100_000)
    recipe = Recipe(name=RECIPE, owner="benchmark", serving=serving)
    clock = SystemClock()
    router = FakeRouter(FakeClock(), STABLE)
    seams = Seams(ScriptedScorer({"v1": falling}), router, DuckEventLog(folder / "events", clock), clock)
    return Side(create_app([Line(recipe, TASK.serving)], seams, Options(folder, keys=keys, poll_s=3600)), [], [])


async def _play(plain: Side, signed: Side, turns: int) -> None:
    async with plain.app.state.gateway.running(), signed.app.state.gateway.running():
        for turn in range(-2, turns):
            # Who goes first changes, so that being second costs nobody more.
            for side in (plain, signed) if turn % 2 else (signed, plain):
                times = await _turn(side.app, turn)
                if turn >= 0:
                    side.ranks.append(times[0])
                    side.outcomes.append(times[1])


async def _turn(app: Any, turn: int) -> tuple[float, float]:
    """Seconds of CPU an answer and an outcome."""
    items = [{"id": str(number), "title": f"red shoe {number}"} for number in range(ITEMS)]
    searches = [{"user_id": f"u-{turn}-{n}", "query": "red shoe", "items": items} for n in range(TURN)]
    ranks, told = await _timed(app, f"/v1/{RECIPE}/rank", searches)
    acts = [
        {"user_id": asked["user_id"], "request_id": answer["request_id"], "kind": "click", "item_id": "1"}
        for asked, answer in zip(searches, told, strict=True)
    ]
    return ranks, (await _timed(app, "/v1/outcomes", acts))[0]


async def _timed(app: Any, path: str, messages: list[dict[str, Any]]) -> tuple[float, list[dict[str, Any]]]:
    bodies = [json.dumps(message).encode() for message in messages]
    began = time.process_time()
    answers = [await _post(app, path, body) for body in bodies]
    seconds = (time.process_time() - began) / len(bodies)
    return seconds, [json.loads(answer) for answer in answers]


async def _post(app: Callable[..., Awaitable[None]], path: str, body: bytes) -> bytes:
    """The body of a good answer of an ASGI application."""
    headers = [(b"user-agent", b"Mozilla/5.0"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(f"{path} was answered {sent[0]['status']}: {sent[-1]['body'][:200]!r}")
    return bytes(sent[-1]["body"])


if __name__ == "__main__":
    for row in measure(quick="--quick" in sys.argv):
        print(row)
