"""A recommender of the real trainer on the real server: every odd request is answered, each joined one as if alone."""

import asyncio

import pytest

from fakes.recommend_world import ITEMS, LINE, RecommendLine, cycling
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.plans import InfraLimits
from recflow.clients.clock import SystemClock
from recflow.clients.triton import TritonScorer, TritonServer
from recflow.rollout.infra_check import check
from recflow.tasks.recommend.serving import RecommendServing, recommend_tensors

VERSION = "20110103-aaaaaaaa"
LIMITS = InfraLimits(max_p95_ms=60_000, load_timeout_s=600)
SERVING = RecommendServing()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    line = RecommendLine(tmp_path_factory.mktemp("line"))
    dataset = line.dataset_ref(*([*cycling(60, number)] for number in range(2)))
    _, package = line.package(dataset, line.bench.parent())
    return line.bench.artifacts.fetch(package)


@pytest.fixture(scope="module")
def server(triton, package):
    server = TritonServer(triton.settings)
    server.load(LINE, VERSION, package)
    yield server
    server.unload(LINE, VERSION)


def asked(*history, **told):
    plain = {"seconds": [0.0] * len(history), "country": "", "at": 0.0, "k": 10, "exclude": []}
    return recommend_tensors({"history": list(history), **plain, **told})


def test_the_infra_check_passes_it(server, package):
    decision = check(server, LINE, VERSION, package, serving=SERVING, baseline="", limits=LIMITS, clock=SystemClock())
    assert decision.verdict is Verdict.PASS, decision
    assert {finding.rule for finding in decision.findings} >= {"odd_requests", "golden_1"}


def test_what_leaves_nothing_is_an_empty_list_and_what_is_unknown_is_popularity(server):
    nothing = server.infer(LINE, VERSION, asked("i01", exclude=ITEMS), timeout_s=20)
    assert (nothing["ITEM"].tolist(), nothing["SCORE"].tolist()) == ([], [])
    whole = server.infer(LINE, VERSION, asked(k=1000), timeout_s=20)
    assert (sorted(item.decode() for item in whole["ITEM"]), whole["POPULAR"].tolist()) == ([*ITEMS], [True])


def test_requests_of_different_lengths_that_triton_joins_each_get_their_own_items(triton, server):
    histories = [ITEMS[:length] for length in range(6)] * 5

    async def joined():
        scorer = TritonScorer(triton.settings)
        try:
            sent = [scorer.infer(LINE, VERSION, asked(*history), timeout_s=20) for history in histories]
            return await asyncio.gather(*sent)
        finally:
            await scorer.close()

    alone = [server.infer(LINE, VERSION, asked(*history), timeout_s=20) for history in histories]
    for one, other in zip(alone, asyncio.run(joined()), strict=True):
        assert SERVING.difference(one, other) < 1e-4
