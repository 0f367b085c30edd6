"""The Triton adapter, run here with a stand-in for the module that only Triton's Python has."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fakes.tiny_model import write_package
from fakes.triton_backend import Request, load_model
from recflow.config.sections.serving import PackagingSection


@dataclass
class Served:
    model: Any

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
def serve(tmp_path):
    def load(post_processing=""):
        section = PackagingSection()
        if post_processing:
            section = PackagingSection(post_processing="post.py", post_processing_code=post_processing)
        return Served(load_model(write_package(tmp_path / "package", section=section)))

    return load


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
