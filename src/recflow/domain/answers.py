"""Answers: what a shopper sees of a model after the recipe's post-processing, or why there is none.

An answer is one score for each thing that was asked about, or, of a model that chooses what is shown, its items with
their scores.

Standard library only: this file is copied into every package by digest. The server answers by it, and so does the
offline gate, which therefore judges what will be shown.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

Process = Callable[[list[float]], Sequence[float]]
Chosen = tuple[list[tuple[str, float]], bool]
"""Items with their scores, best first; and whether a floor chose them, because the model knew nothing to go by."""
Answer = list[float] | Chosen | Exception


def answer(scorer: Any, process: Process, requests: Sequence[Any]) -> list[Answer]:
    """One answer a request, in order; all of them go through one forward pass.

    `scorer` is a `scoring.Scorer`, and a request what it reads. A request that fails gets its own error, and its
    batch-mates theirs.
    """
    if not requests:
        return []
    try:
        scored = scorer.score_many(requests)
    except Exception as error:  # noqa: BLE001 - whatever the scorer raises belongs to one request, found alone
        if len(requests) == 1:
            return [error]
        return [given for request in requests for given in answer(scorer, process, [request])]
    return [_finish(process, given) for given in scored]


def _finish(process: Process, given: Sequence[float] | Chosen) -> Answer:
    if not isinstance(given, tuple):
        return _processed(process, given)
    chosen, of_floor = given
    scores = _processed(process, [score for _, score in chosen])
    if isinstance(scores, Exception):
        return scores
    items = [(item, score) for (item, _), score in zip(chosen, scores, strict=True)]
    return sorted(items, key=lambda pair: -pair[1]), bool(of_floor)


def _processed(process: Process, scores: Sequence[float]) -> list[float] | Exception:
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
