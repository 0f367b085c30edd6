"""The toy task of tests/fakes on the real server, with the checks of every server."""

import asyncio

import numpy as np
import pytest

from fakes.relevance import SERVING, item, score
from fakes.tiny_model import overlap
from fakes.toy_task import ROWS, TASK, WEIGHTS, ToyExample, write_toy_package
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.plans import InfraLimits
from recflow.clients.clock import SystemClock
from recflow.clients.triton import TritonScorer, TritonServer
from recflow.errors import BadConfiguration, ModelWontLoad, ServerUnavailable
from recflow.rollout.infra_check import check

VERSION, OLD = "20110101-aaaaaaaa", "20110102-bbbbbbbb"
LIMITS = InfraLimits(max_p95_ms=60_000, load_timeout_s=600)


def asked_of(row):
    return TASK.serving.example(ToyExample("", tuple(row), 0))


@pytest.fixture
def recipe(request):
    return f"toy_{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture
def server(triton, recipe):
    server = TritonServer(triton.settings)
    yield server
    for version in (VERSION, OLD):
        server.unload(recipe, version)


def judge(server, recipe, package, serving=TASK.serving):
    return check(server, recipe, VERSION, package, serving=serving, baseline="", limits=LIMITS, clock=SystemClock())


def test_requests_that_triton_joins_each_get_their_own_class(triton, server, recipe, tmp_path):
    server.load(recipe, VERSION, write_toy_package(tmp_path / "package"))

    async def joined():
        scorer = TritonScorer(triton.settings)
        try:
            asked = [scorer.infer(recipe, VERSION, asked_of(row), timeout_s=20) for row in ROWS * 10]
            return await asyncio.gather(*asked)
        finally:
            await scorer.close()

    expected = [int(np.argmax(np.asarray(WEIGHTS) @ row)) for row in ROWS * 10]
    assert [int(answer["CLASS"][0]) for answer in asyncio.run(joined())] == expected


def test_the_infra_check_passes_it(server, recipe, tmp_path):
    decision = judge(server, recipe, write_toy_package(tmp_path / "package"))
    assert decision.verdict is Verdict.PASS, decision


def test_one_that_answers_in_another_type_than_it_states_is_not_loaded(server, recipe, tmp_path):
    package = write_toy_package(tmp_path / "package")
    rule = package / "1" / "tensors.py"
    rule.write_text(rule.read_text().replace("np.int64", "np.float32"))
    with pytest.raises(ModelWontLoad, match="answered wrongly") as refusal:
        server.load(recipe, VERSION, package)
    assert (refusal.value.expected, refusal.value.seen) == ("CLASS INT64 [1]", "CLASS FP32 [1]")


def test_a_request_that_fails_is_unavailable_and_one_of_other_tensors_is_never_sent(server, recipe, tmp_path):
    server.load(recipe, VERSION, write_toy_package(tmp_path / "package"))
    with pytest.raises(ServerUnavailable, match="did not answer"):
        server.infer(recipe, VERSION, asked_of([1e9, 0, 0, 0]), timeout_s=20)
    with pytest.raises(BadConfiguration, match="other tensors than it takes"):
        server.infer(recipe, VERSION, asked_of([1, 0]), timeout_s=20)


@pytest.mark.parametrize(("name", "factor"), [("plain", 1), ("processed", 10)])
def test_a_package_stored_before_signatures_were_stated_gives_the_same_scores(server, recipe, kept, name, factor):
    assert judge(server, recipe, kept / name, SERVING).verdict is Verdict.PASS
    items = [item(str(number), title) for number, title in enumerate(("red shoe", "red hat", "红色 tea"))]
    expected = [factor * overlap("red shoe", each.title, 0.75) for each in items]
    assert score(server, recipe, VERSION, "red shoe", items) == pytest.approx(expected)
    assert server.loaded(recipe) == (VERSION,)


@pytest.fixture
def kept(request):
    return request.path.parents[2] / "fixtures" / "package_4"
