"""Answering in time: the assigned version, then stable, then what the task answers without a model."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recflow.artifacts.events import Fallback
from recflow.domain.requests import Request
from recflow.domain.signatures import Tensors
from recflow.errors import AnswerMalformed, ServerUnavailable
from recflow.protocols import AsyncScorer
from recflow.tasks.base import Serving

# The same for every arm: a candidate must not have less time than its control, which is stable itself.
_FIRST_SHARE = 0.8
_RESERVE_S = 0.01
_LOG = logging.getLogger(__name__)


class Deadline:
    """Seconds of one request, from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._began = seconds, time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request was read."""
        return time.perf_counter() - self._began

    @property
    def passed(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.elapsed_s > self.seconds

    def budget_s(self, *, first: bool) -> float:
        """Seconds for one attempt; what comes after it keeps its reserve."""
        return (self.seconds * _FIRST_SHARE if first else self.seconds - _RESERVE_S) - self.elapsed_s


@dataclass(frozen=True)
class Question:
    """One request to one recipe, and the tensors that its model is asked with."""

    recipe: str
    serving: Serving[Any]
    request: Request
    inputs: Tensors

    @classmethod
    def of(cls, recipe: str, serving: Serving[Any], request: Request) -> "Question":
        """The question that a request is."""
        return cls(recipe, serving, request, serving.tensors(request))


@dataclass(frozen=True)
class Answer:
    """The model's tensors, which version gave them, and the first reason why it was not the assigned one."""

    outputs: Tensors
    served: str
    fallback: Fallback


async def answer(
    scorer: AsyncScorer, question: Question, attempts: Sequence[str], deadline: Deadline, departed: Fallback
) -> Answer:
    """Ask each version in turn while there is time; no model at last. `departed` is why routing itself fell back."""
    reason = Fallback.NONE
    for number, version in enumerate(attempts):
        budget = deadline.budget_s(first=number == 0)
        if budget <= 0:
            reason = reason or Fallback.TIMEOUT
            break
        outputs, failed = await ask(scorer, question.recipe, question.inputs, version, budget)
        if not failed:
            return Answer(outputs, version, reason or departed)
        reason = reason or failed
    serving = question.serving
    return Answer(serving.without_model(question.request), serving.fallback, reason or Fallback.UNAVAILABLE)


async def ask(
    scorer: AsyncScorer, recipe: str, inputs: Tensors, version: str, timeout_s: float
) -> tuple[Tensors, Fallback]:
    """The version's answer, or none and why: out of time, no answer, or an answer that is none."""
    try:
        async with asyncio.timeout(timeout_s):
            return await scorer.infer(recipe, version, inputs, timeout_s=timeout_s), Fallback.NONE
    except TimeoutError:
        return {}, Fallback.TIMEOUT
    except AnswerMalformed:
        return {}, Fallback.ERROR
    except ServerUnavailable:
        return {}, Fallback.UNAVAILABLE
    except Exception:  # noqa: BLE001 - whatever a version does, its shopper is answered
        _LOG.exception("version %s of %s failed on a request", version, recipe)
        return {}, Fallback.ERROR
