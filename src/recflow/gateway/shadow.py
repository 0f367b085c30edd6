"""Shadow: after an answer its request is put to the candidate too, and nobody sees what that says.

Every mirrored request leaves an exposure that is marked `shadow`, with `<release id>:shadow` as its experiment, the
candidate as assigned version, its latency and failure, and no answer, since nothing was shown. Where stable's answer
was shown to a shopper and the candidate answered too, a comparison of the two stands beside it, as their task compares.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

from recflow.artifacts.events import UNIDENTIFIED, Arm, Comparison, Exposure, Fallback, Record
from recflow.domain.routes import RoutingTable
from recflow.domain.signatures import Tensors
from recflow.gateway.answering import Question, ask
from recflow.gateway.instruments import Instruments
from recflow.gateway.recording import Recorder
from recflow.protocols import AsyncScorer

MARK: Literal["shadow"] = "shadow"
_QUEUE = 64
# Programs and people of the shop may ask one thing a thousand times: they are mirrored, and not compared.
_SHOPPERS = ("", UNIDENTIFIED)


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
        question = mirrored.question
        outputs, failed = await ask(self._scorer, question.recipe, question.inputs, version, mirrored.timeout_s)
        seconds = time.perf_counter() - began
        self._instruments.mirrored(mirrored.table, failed or "ok", seconds)
        records: list[Record] = [_exposure(mirrored, failed, seconds)]
        if not failed and _is_comparable(mirrored):
            comparison = _comparison(mirrored, outputs)
            self._instruments.compared(comparison)
            records.append(comparison)
        await asyncio.gather(*map(self._recorder.record, records))


def _is_comparable(mirrored: Mirrored) -> bool:
    """Whether a shopper was shown the answer, and stable gave it."""
    shown = mirrored.shown
    return shown.served_version != "" and shown.served_version == mirrored.table.stable and shown.marked in _SHOPPERS


def _comparison(mirrored: Mirrored, outputs: Tensors) -> Comparison:
    """The candidate's answer beside the one that was shown."""
    shown, question = mirrored.shown, mirrored.question
    return Comparison(
        request_id=f"{shown.request_id}-{MARK}",
        at=shown.at,
        recipe=shown.recipe,
        user_key=shown.user_key,
        epoch=mirrored.table.epoch,
        experiment=mirrored.table.experiment,
        shown_version=shown.served_version,
        shadow_version=mirrored.table.shadow,
        **question.serving.compared(question.request, shown, outputs),
    )


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
        "answer": "",
        "latency_ms": seconds * 1000,
    }
    return mirrored.shown.model_copy(update=changes)
