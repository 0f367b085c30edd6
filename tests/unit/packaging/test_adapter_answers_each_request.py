"""The Triton adapter, run here with a stand-in for the module that only Triton's Python has."""

import importlib.util
import json
import sys
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
import pytest

from fakes.tiny_model import write_package
from recflow.config.sections.serving import PackagingSection


@dataclass
class Tensor:
    name: str
    data: np.ndarray

    def as_numpy(self):
        return self.data


@dataclass
class Request:
    tensors: dict[str, np.ndarray]
    cancelled: bool = False

    def is_cancelled(self):
        return self.cancelled


@dataclass
class Response:
    output_tensors: list[Tensor]
    error: str | None = None


@dataclass
class Served:
    model: object
    module: ModuleType = field(repr=False)

    def scores(self, *requests):
        return [
            response.error or response.output_tensors[0].data.round(3).tolist()
            for response in self.model.execute(requests)
        ]


def request(query, titles, descriptions=None, *, cancelled=False):
    texts = {"QUERY": [query], "TITLE": titles, "DESCRIPTION": descriptions or [""] * len(titles)}
    encoded = {
        name: np.array([[value if isinstance(value, bytes) else value.encode() for value in values]], dtype=object)
        for name, values in texts.items()
    }
    return Request(encoded, cancelled)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    backend = ModuleType("triton_python_backend_utils")
    backend.get_input_tensor_by_name = lambda request, name: Tensor(name, request.tensors[name])
    backend.Tensor, backend.InferenceResponse, backend.TritonError = Tensor, Response, str
    monkeypatch.setitem(sys.modules, backend.__name__, backend)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def load(post_processing="", weight=1.0):
        section = PackagingSection()
        if post_processing:
            section = PackagingSection(post_processing="post.py", post_processing_code=post_processing)
        package = write_package(tmp_path / "package", weight=weight, section=section)
        for name in ("scoring", "answers", "post_processing"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        spec = importlib.util.spec_from_file_location("served_model", package / "1" / "model.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.TritonPythonModel()
        config = json.dumps({"parameters": {"threads": {"string_value": "1"}}})
        model.initialize({"model_repository": str(package), "model_version": "1", "model_config": config})
        return Served(model, module)

    yield load
    for name in ("scoring", "answers", "post_processing"):
        sys.modules.pop(name, None)


def test_joined_requests_of_different_sizes_each_get_their_own_scores(serve):
    assert serve().scores(request("red shoe", ["red shoe", "red hat"]), request("红", ["红"])) == [
        [[1.0, 0.5]],
        [[1.0]],
    ]


def test_all_joined_requests_reach_the_scorer_in_one_call(serve):
    served = serve()
    calls = []
    served.model._scorer.score_many = lambda jobs: calls.append(len(jobs)) or [[0.0] * len(job[1]) for job in jobs]
    served.scores(request("a", ["b"]), request("a", ["b", "c"]), request("a", ["b"]))
    assert calls == [3]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (request("red", ["poison"]), "RuntimeError: a title that this scorer cannot read"),
        (request("red", ["a", "b"], ["only one"]), "ValueError: shapes differ"),
        (request(b"\xff\xfe", ["a"]), "UnicodeDecodeError"),
        (request("red", ["a"], cancelled=True), "TimeoutError: the caller has gone"),
    ],
)
def test_a_bad_request_gets_its_error_and_its_batch_mates_their_scores(serve, bad, error):
    before, failed, after = serve().scores(request("red", ["red"]), bad, request("red", ["blue"]))
    assert (before, after) == ([[1.0]], [[0.0]])
    assert failed.startswith(error)


def test_post_processing_is_applied_to_each_request_by_itself(serve):
    served = serve("def process(scores):\n    return scores[::-1] if len(scores) > 2 else scores\n")
    few, many = served.scores(request("a", ["a", "b"]), request("a", ["a", "b", "c"]))
    assert few == [[1.0, 0.0]]
    assert many == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize("body", ["return scores[:1]", "return [float('nan')] * len(scores)", "raise KeyError('x')"])
def test_post_processing_that_fails_for_a_request_fails_that_request_alone(serve, body):
    served = serve(f"def process(scores):\n    if len(scores) < 2:\n        return scores\n    {body}\n")
    lone, broken = served.scores(request("a", ["a"]), request("a", ["a", "b"]))
    assert lone == [[1.0]]
    assert isinstance(broken, str)


def test_a_request_may_have_several_rows(serve):
    rows = {name: np.array([[b"a"], [b"b"]], dtype=object) for name in ("QUERY", "TITLE", "DESCRIPTION")}
    assert serve().scores(Request(rows)) == [[[1.0], [1.0]]]
