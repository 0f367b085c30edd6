"""Serves a scorer in Triton's Python backend: named tensors in, named tensors out. Copied into every package by digest.

It runs in the server's own Python and knows recflow only as files beside it: `scoring.Scorer` (the model),
`answers.answer`, `tensors` (the task's: `request` makes what the scorer reads of a row of tensors, `outputs` makes
tensors of its scores), and, where the recipe names one, `post_processing.process`. Which tensors there are, the
signature in the model's configuration says. All requests that Triton joined are answered at once.
"""

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found,unused-ignore]

Side = list[dict[str, Any]]


class TritonPythonModel:
    """The class that Triton's Python backend looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the scorer and the post-processing; whatever is raised here refuses the load."""
        folder = Path(args["model_repository"]) / args["model_version"]
        parameters = json.loads(args["model_config"])["parameters"]
        self._signature: dict[str, Side] = json.loads(parameters["signature"]["string_value"])
        sys.path.insert(0, str(folder))  # one process serves one model, so plain names cannot clash
        self._scorer = importlib.import_module("scoring").Scorer(
            str(folder), int(parameters["threads"]["string_value"])
        )
        self._answer = importlib.import_module("answers").answer
        self._tensors: Any = importlib.import_module("tensors")
        self._process: Callable[[list[float]], Sequence[float]] = list
        if (folder / "post_processing.py").exists():
            self._process = importlib.import_module("post_processing").process

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response a request, in order."""
        jobs = [self._read(request) for request in requests]
        sound = [job for rows in jobs if not isinstance(rows, Exception) for job in rows]
        answers = iter(self._answer(self._scorer, self._process, sound))
        given = [rows if isinstance(rows, Exception) else [next(answers) for _ in rows] for rows in jobs]
        failures = [_failure(rows) for rows in given]
        # Triton counts as failed only what raises, and that fails every request: right when there is no other answer.
        if failures[0] and all(failure and not isinstance(failure, TimeoutError) for failure in failures):
            raise failures[0]
        return [self._respond(rows, failure) for rows, failure in zip(given, failures, strict=True)]

    def _read(self, request: Any) -> list[Any] | Exception:
        """What the scorer reads of each of the request's rows; Triton allows several rows a request."""
        if request.is_cancelled():
            return TimeoutError("the caller has gone")
        arrays = {
            tensor["name"]: pb_utils.get_input_tensor_by_name(request, tensor["name"]).as_numpy()
            for tensor in self._signature["inputs"]
        }
        if differing := _differing(arrays, self._signature["inputs"]):
            return ValueError(f"shapes differ: {differing}")
        rows = len(next(iter(arrays.values())))
        try:
            return [self._tensors.request({name: array[row] for name, array in arrays.items()}) for row in range(rows)]
        except Exception as error:  # noqa: BLE001 - texts that are no UTF-8, or whatever the task refuses
            return error

    def _respond(self, rows: list[Any] | Exception, error: Exception | None) -> Any:
        if error is not None or isinstance(rows, Exception):
            message = f"{type(error).__name__}: {error}"[:500]
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message))
        outputs: list[Any] = list(map(self._tensors.outputs, rows))
        names = [tensor["name"] for tensor in self._signature["outputs"]]
        stacked = [pb_utils.Tensor(name, np.stack([output[name] for output in outputs])) for name in names]
        return pb_utils.InferenceResponse(output_tensors=stacked)


def _differing(arrays: Mapping[str, np.ndarray], stated: Side) -> str:
    """The shapes, where they are not those of one signature: as many rows of each, each axis of one length."""
    lengths: dict[Any, int] = {}
    for tensor in stated:
        shape = arrays[tensor["name"]].shape
        dims = ["rows", *tensor["dims"]]
        sound = len(shape) == len(dims) and all(
            length == (lengths.setdefault(dim, length) if isinstance(dim, str) else dim)
            for dim, length in zip(dims, shape, strict=True)
        )
        if not sound:
            return ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    return ""


def _failure(rows: list[Any] | Exception) -> Exception | None:
    return rows if isinstance(rows, Exception) else next((row for row in rows if isinstance(row, Exception)), None)
