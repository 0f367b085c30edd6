"""Serves a scorer in Triton's Python backend: strings in, scores out. Copied into every package by digest.

It runs in the server's own Python and knows recflow only as files beside it: `scoring.Scorer` (the model with its
tokenizer and text rules), `answers.answer`, and, where the recipe names one, `post_processing.process`. All requests
that Triton joined are answered at once.
"""

import importlib
import json
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
        self._answer = importlib.import_module("answers").answer
        self._process: Callable[[list[float]], Sequence[float]] = list
        if (folder / "post_processing.py").exists():
            self._process = importlib.import_module("post_processing").process

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response a request, in order."""
        jobs = [_read(request) for request in requests]
        sound = [job for rows in jobs if not isinstance(rows, Exception) for job in rows]
        answers = iter(self._answer(self._scorer, self._process, sound))
        given = [rows if isinstance(rows, Exception) else [next(answers) for _ in rows] for rows in jobs]
        failures = [_failure(rows) for rows in given]
        # Triton counts as failed only what raises, and that fails every request: right when there is no other answer.
        if failures[0] and all(failure and not isinstance(failure, TimeoutError) for failure in failures):
            raise failures[0]
        return [_respond(rows, failure) for rows, failure in zip(given, failures, strict=True)]


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


def _failure(rows: list[Answer] | Exception) -> Exception | None:
    return rows if isinstance(rows, Exception) else next((row for row in rows if isinstance(row, Exception)), None)


def _respond(rows: list[Answer] | Exception, error: Exception | None) -> Any:
    if error is not None:
        message = f"{type(error).__name__}: {error}"[:500]
        return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message))
    return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("SCORE", np.asarray(rows, dtype=np.float32))])
