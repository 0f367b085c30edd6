"""Answering in time: the assigned version, then stable, then the order of shared words."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from recflow.artifacts.events import Fallback
from recflow.domain.lexical import words
from recflow.errors import AnswerMalformed, ServerUnavailable
from recflow.protocols import AsyncScorer, RankItem

LEXICAL = "lexical"
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
    """One query with its items for one recipe."""

    recipe: str
    query: str
    items: tuple[RankItem, ...]


@dataclass(frozen=True)
class Answer:
    """A score an item, which version gave them, and the first reason why it was not the assigned one."""

    scores: tuple[float, ...]
    served: str
    fallback: Fallback


async def answer(
    scorer: AsyncScorer, question: Question, attempts: Sequence[str], deadline: Deadline, departed: Fallback
) -> Answer:
    """Ask each version in turn while there is time; words at last. `departed` is why routing itself fell back."""
    reason = Fallback.NONE
    for number, version in enumerate(attempts):
        budget = deadline.budget_s(first=number == 0)
        if budget <= 0:
            reason = reason or Fallback.TIMEOUT
            break
        scores, failed = await ask(scorer, question, version, budget)
        if not failed:
            return Answer(scores, version, reason or departed)
        reason = reason or failed
    return Answer(lexical_scores(question), LEXICAL, reason or Fallback.UNAVAILABLE)


async def ask(
    scorer: AsyncScorer, question: Question, version: str, timeout_s: float
) -> tuple[tuple[float, ...], Fallback]:
    """The version's scores, or none and why: out of time, no answer, or an answer that is none."""
    try:
        async with asyncio.timeout(timeout_s):
            scores = await scorer.score(question.recipe, version, question.query, question.items, timeout_s=timeout_s)
    except TimeoutError:
        return (), Fallback.TIMEOUT
    except AnswerMalformed:
        return (), Fallback.ERROR
    except ServerUnavailable:
        return (), Fallback.UNAVAILABLE
    except Exception:  # noqa: BLE001 - whatever a version does, its shopper is answered
        _LOG.exception("version %s of %s failed on a request", version, question.recipe)
        return (), Fallback.ERROR
    if len(scores) != len(question.items) or not all(map(math.isfinite, scores)):
        return (), Fallback.ERROR
    return tuple(scores), Fallback.NONE


def lexical_scores(question: Question) -> tuple[float, ...]:
    """The share of the query's words that each title has, in [0, 1]."""
    asked = set(words(question.query))
    return tuple(len(asked.intersection(words(item.title))) / max(1, len(asked)) for item in question.items)
