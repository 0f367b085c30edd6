"""Serves a scorer in Triton's Python backend: strings in, scores out. Copied into every package by digest.

It runs in the server's own Python and knows recflow only as files beside it: `scoring.Scorer` (the model with its
tokenizer and text rules) and, where the recipe names one, `post_processing.process`. All requests that Triton joined
go through one forward pass; a request that cannot be answered gets its own error and its batch-mates their scores.
"""

import importlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found,unused-ignore]

Job = tuple[str, list[str], list[str]]
Answer = list[float] | Exception


class TritonPythonModel:
    """The class that Triton's Python backend looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the scorer and the post-processing; whatever is raised here refuses the load."""
        folder = Path(args["model_repository"]) / args["model_version"]
        threads = int(json.loads(args["model_config"])["parameters"]["threads"]["string_value"])
        sys.path.insert(0, str(folder))  # one process serves one model, so plain names cannot clash
        self._scorer = importlib.import_module("scoring").Scorer(str(folder), threads)
        self._process: Callable[[list[float]], Sequence[float]] = list
        if (folder / "post_processing.py").exists():
            self._process = importlib.import_module("post_processing").process

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response a request, in order."""
        jobs = [_read(request) for request in requests]
        sound = [job for rows in jobs if not isinstance(rows, Exception) for job in rows]
        answers = iter(self._score(sound))
        return [_respond(rows if isinstance(rows, Exception) else [next(answers) for _ in rows]) for rows in jobs]

    def _score(self, jobs: list[Job]) -> list[Answer]:
        try:
            return [self._finish(scores) for scores in self._scorer.score_many(jobs)] if jobs else []
        except Exception as error:  # noqa: BLE001 - whatever the scorer raises belongs to one request, found alone
            return [error] if len(jobs) == 1 else [answer for job in jobs for answer in self._score([job])]

    def _finish(self, scores: list[float]) -> Answer:
        try:
            final = [float(score) for score in self._process(list(scores))]
        except Exception as error:  # noqa: BLE001 - the recipe's own code: its failure is this request's only
            return error
        if len(final) != len(scores) or not all(map(math.isfinite, final)):
            return ValueError(f"post-processing turned {len(scores)} scores into {len(final)}, or into no numbers")
        return final


def _read(request: Any) -> list[Job] | Exception:
    """The request's rows as (query, titles, descriptions); Triton allows several rows a request."""
    if request.is_cancelled():
        return TimeoutError("the caller has gone")
    query, titles, descriptions = (
        pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in ("QUERY", "TITLE", "DESCRIPTION")
    )
    if titles.shape != descriptions.shape or query.shape != (len(titles), 1):
        return ValueError(f"shapes differ: QUERY {query.shape}, TITLE {titles.shape}, DESCRIPTION {descriptions.shape}")
    try:
        return [
            (row[0].decode(), [text.decode() for text in title], [text.decode() for text in description])
            for row, title, description in zip(query, titles, descriptions, strict=True)
        ]
    except UnicodeDecodeError as error:
        return error


def _respond(rows: list[Answer] | Exception) -> Any:
    error = rows if isinstance(rows, Exception) else next((row for row in rows if isinstance(row, Exception)), None)
    if error is not None:
        message = f"{type(error).__name__}: {error}"[:500]
        return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message))
    return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("SCORE", np.asarray(rows, dtype=np.float32))])
