"""Relevance for tests: a query and items as tensors, and scores back."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recflow.domain.signatures import Tensors
from recflow.gateway.answering import Question
from recflow.tasks.relevance.serving import Item, RankRequest, rank_tensors
from recflow.tasks.relevance.task import TASK

SERVING = TASK.serving


def item(name: str, title: str, description: str = "") -> Item:
    return Item(id=name, title=title, description=description)


def tensors(query: str, items: Sequence[Item]) -> Tensors:
    return rank_tensors(query, [each.title for each in items], [each.description for each in items])


def asked(inputs: Tensors) -> tuple[str, list[Item]]:
    """Query and items of a request's tensors; the items' ids are their places."""
    query, titles, descriptions = (inputs[name].tolist() for name in ("QUERY", "TITLE", "DESCRIPTION"))
    texts = zip(titles, descriptions, strict=True)
    return query[0].decode(), [item(str(n), title.decode(), text.decode()) for n, (title, text) in enumerate(texts)]


def answer(scores: Sequence[float]) -> dict[str, np.ndarray]:
    return {"SCORE": np.asarray(scores, dtype=np.float32)}


def scores(outputs: Tensors) -> tuple[float, ...]:
    return tuple(outputs["SCORE"].tolist())


def score(server: Any, recipe: str, version: str, query: str, items: Sequence[Item], *, timeout_s: float = 10) -> Any:
    """The served scores of items."""
    return scores(server.infer(recipe, version, tensors(query, items), timeout_s=timeout_s))


async def score_soon(scorer: Any, recipe: str, version: str, query: str, items: Any, *, timeout_s: float = 10) -> Any:
    """The same, awaited."""
    return scores(await scorer.infer(recipe, version, tensors(query, items), timeout_s=timeout_s))


def question(recipe: str, query: str, items: Sequence[Item]) -> Question:
    return Question.of(recipe, SERVING, RankRequest(user_id="u-1", query=query, items=list(items)))
