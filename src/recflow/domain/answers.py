"""Answers: what a shopper sees of a model, its scores after the recipe's post-processing, or why there are none.

Standard library only: this file is copied into every package by digest. The server answers by it, and so does the
offline gate, which therefore judges what will be shown.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

Process = Callable[[list[float]], Sequence[float]]
Answer = list[float] | Exception


def answer(scorer: Any, process: Process, requests: Sequence[Any]) -> list[Answer]:
    """One answer a request, in order; all of them go through one forward pass.

    `scorer` is a `scoring.Scorer`, and a request what it reads. A request that fails gets its own error, and its
    batch-mates their scores.
    """
    if not requests:
        return []
    try:
        scored = scorer.score_many(requests)
    except Exception as error:  # noqa: BLE001 - whatever the scorer raises belongs to one request, found alone
        if len(requests) == 1:
            return [error]
        return [given for request in requests for given in answer(scorer, process, [request])]
    return [_finish(process, scores) for scores in scored]


def _finish(process: Process, scores: Sequence[float]) -> Answer:
    try:
        final = [float(score) for score in process(list(scores))]
    except SystemExit as error:
        return RuntimeError(f"post-processing ends its process: exit({error.code!r})")
    except Exception as error:  # noqa: BLE001 - the recipe's own code: its failure is this request's only
        return error
    if len(final) != len(scores):
        return ValueError(f"post-processing turned {len(scores)} scores into {len(final)}")
    if not all(map(isfinite, final)):
        return ValueError(f"{sum(not isfinite(score) for score in final)} of {len(final)} scores are no numbers")
    return final
