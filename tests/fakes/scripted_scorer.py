import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fakes import relevance
from recflow.domain.signatures import Tensors
from recflow.errors import AnswerMalformed, ServerUnavailable
from recflow.tasks.relevance.serving import Item

Behaviour = Callable[[str, Sequence[Item]], Sequence[float]]


def rising(_: str, items: Sequence[Item]) -> list[float]:
    """The last item first."""
    return [float(number) for number in range(len(items))]


def falling(_: str, items: Sequence[Item]) -> list[float]:
    """The order in which the items came."""
    return [-float(number) for number in range(len(items))]


def reversed_in_winter(query: str, items: Sequence[Item]) -> list[float]:
    """As the items came, but for queries with one word: there the last one first."""
    return rising(query, items) if "winter" in query else falling(query, items)


def down(*_: object) -> Sequence[float]:
    raise ServerUnavailable("the scripted version does not answer")


def broken(*_: object) -> Sequence[float]:
    raise ValueError("the scripted version has a bug")


def malformed(*_: object) -> Sequence[float]:
    raise AnswerMalformed("the scripted version answered in FP64")


def too_few(*_: object) -> Sequence[float]:
    return [1.0]


def no_numbers(_: str, items: Sequence[Item]) -> Sequence[float]:
    return [math.nan] * len(items)


def blocking(_: str, items: Sequence[Item]) -> list[float]:
    """Hold up the whole event loop, as a page fault storm would: the deadline passes unseen."""
    time.sleep(0.1)
    return falling(_, items)


@dataclass
class ScriptedScorer:
    """A double of the model server's client: each version answers as it is told, a version without words is absent.

    `wait_s` by version is awaited before the answer, and can be cut short by a time-out. While `open` is not set nobody
    is answered. `arrivals` tells who was asked.
    """

    versions: dict[str, Behaviour] = field(default_factory=dict)
    wait_s: dict[str, float] = field(default_factory=dict)
    open: asyncio.Event | None = None
    arrivals: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def infer(self, recipe: str, version: str, inputs: Tensors, *, timeout_s: float) -> dict[str, np.ndarray]:
        self.arrivals.put_nowait(version)
        if self.open:
            await self.open.wait()
        await asyncio.sleep(self.wait_s.get(version, 0))
        outputs = relevance.answer(self.versions.get(version, down)(*relevance.asked(inputs)))
        signature = relevance.SERVING.signature
        signature.refuse_malformed(version, signature.lengths(inputs), outputs)
        return outputs
