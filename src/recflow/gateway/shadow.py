"""Shadow: after an answer its request is put to the candidate too, and nobody sees what that says.

Every mirrored request leaves an exposure that is marked `shadow`, with `<release id>:shadow` as its experiment, the
candidate as assigned version, its latency and failure, and no items, since nothing was shown.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

from recflow.artifacts.events import Arm, Exposure, Fallback
from recflow.domain.routes import RoutingTable
from recflow.gateway.answering import Question, ask
from recflow.gateway.instruments import Instruments
from recflow.gateway.recording import Recorder
from recflow.protocols import AsyncScorer

MARK: Literal["shadow"] = "shadow"
_QUEUE = 64


@dataclass(frozen=True)
class Mirrored:
    """An answered request on its way to the shadow version."""

    question: Question
    table: RoutingTable
    shown: Exposure
    timeout_s: float


class Shadow:
    """A bounded queue with one reader: mirrored requests beyond 64 are dropped and counted, answers never wait."""

    def __init__(self, scorer: AsyncScorer, recorder: Recorder, instruments: Instruments) -> None:
        self._scorer, self._recorder, self._instruments = scorer, recorder, instruments
        self._queue: asyncio.Queue[Mirrored] = asyncio.Queue(_QUEUE)

    def offer(self, mirrored: Mirrored) -> None:
        """Mirror a request if its table names a shadow version."""
        if not mirrored.table.shadow:
            return
        try:
            self._queue.put_nowait(mirrored)
        except asyncio.QueueFull:
            self._instruments.mirrored(mirrored.table, "dropped")

    async def run(self) -> None:
        """Ask the shadow version, one request at a time, for ever."""
        while True:
            await self._mirror(await self._queue.get())
            self._queue.task_done()

    async def settle(self) -> None:
        """Wait until every accepted request was mirrored."""
        await self._queue.join()

    async def _mirror(self, mirrored: Mirrored) -> None:
        version = mirrored.table.shadow
        began = time.perf_counter()
        scores, failed = await ask(self._scorer, mirrored.question, version, mirrored.timeout_s)
        seconds = time.perf_counter() - began
        self._instruments.mirrored(mirrored.table, failed or "ok", seconds)
        if not failed:
            self._compare(mirrored, scores)
        await self._recorder.record(_exposure(mirrored, failed, seconds))

    def _compare(self, mirrored: Mirrored, scores: tuple[float, ...]) -> None:
        shown = {item.item_id: item.score for item in mirrored.shown.items}
        pairs = zip(mirrored.question.items, scores, strict=True)
        differences = [abs(score - shown[item.item_id]) for item, score in pairs if item.item_id in shown]
        if differences and mirrored.shown.served_version == mirrored.table.stable:
            self._instruments.shadow_difference(mirrored.table, sum(differences) / len(differences))


def _exposure(mirrored: Mirrored, failed: Fallback, seconds: float) -> Exposure:
    changes = {
        "request_id": f"{mirrored.shown.request_id}-{MARK}",
        "marked": MARK,
        "experiment": mirrored.table.experiment,
        "epoch": mirrored.table.epoch,
        "arm": Arm.STABLE,
        "assigned_version": mirrored.table.shadow,
        "served_version": "" if failed else mirrored.table.shadow,
        "fallback": failed,
        "items": (),
        "latency_ms": seconds * 1000,
    }
    return mirrored.shown.model_copy(update=changes)
