"""The infra check on a real server: a real encoder in int8, packaged by the stage itself."""

import asyncio
import shutil

import pytest

from fakes.real_model import write_real_model
from fakes.relevance import SERVING, asked, score, scores
from fakes.small_models import shop_rows, tiny_base
from fakes.stage_bench import StageBench
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.plans import InfraLimits
from recflow.artifacts.refs import RefKind
from recflow.clients.clock import SystemClock
from recflow.clients.triton import TritonScorer, TritonServer
from recflow.compression.scoring import Scorer
from recflow.config.recipe import Recipe
from recflow.config.sections.serving import PackagingSection
from recflow.domain.golden import read_golden
from recflow.evaluation.packaged import load_package
from recflow.packaging.run import run
from recflow.packaging.spec import PACKAGE
from recflow.rollout.infra_check import check

RECIPE = "infra_shop"
OLD, NEW = "20110101-aaaaaaaa", "20110102-bbbbbbbb"
# A shared host may be as slow as it likes: speed is judged by the unit tests, with a clock that stands still.
SLOW = {"max_p95_ms": 60_000, "load_timeout_s": 600}
REVERSING = "def process(scores):\n    return scores[::-1] if len(scores) > 5 else scores\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    queries = {}
    for row in shop_rows(6, items=10):
        queries.setdefault(row["query"], []).append(row["title"])
    return write_real_model(folder / "model", tiny_base(folder / "base"), queries)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return StageBench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def package(bench, model):
    def package(post_processing=""):
        section = PackagingSection()
        if post_processing:
            section = PackagingSection(post_processing="post.py", post_processing_code=post_processing)
        recipe = Recipe(name=RECIPE, owner="search", packaging=section)
        ref = bench.run(PACKAGE, run, recipe, model=bench.publish(RefKind.MODEL, model, recipe=RECIPE))
        return bench.artifacts.fetch(ref)

    return package


@pytest.fixture
def server(triton):
    server = TritonServer(triton.settings)
    yield server
    for version in server.loaded(RECIPE):
        server.unload(RECIPE, version)


def judge(server, package, *, baseline="", sizes=(1, 5, 20)):
    limits = InfraLimits(batch_sizes=sizes, **SLOW)
    return check(server, RECIPE, NEW, package, serving=SERVING, baseline=baseline, limits=limits, clock=SystemClock())


def rules(decision, verdict):
    return {finding.rule for finding in decision.findings if finding.verdict is verdict}


def test_a_packaged_encoder_passes_on_the_real_server_beside_the_serving_version(server, package):
    server.load(RECIPE, OLD, package())
    decision = judge(server, package(), baseline=OLD)
    assert decision.verdict is Verdict.PASS, decision
    assert {"golden_1", "golden_5", "golden_20", "order_20", "odd_requests", "memory_mb", "score_shift"} <= rules(
        decision, Verdict.PASS
    )


def test_served_scores_equal_the_packages_own_scorer_at_every_size(server, package, model):
    server.load(RECIPE, OLD, package())
    scorer = Scorer(str(model))
    for golden in read_golden(model, SERVING.golden):
        query, items = asked(golden.inputs)
        for size in (1, 5, len(items)):
            shown = items[:size]
            served = score(server, RECIPE, OLD, query, shown, timeout_s=30)
            titles = [each.title for each in shown]
            assert served == pytest.approx(scorer.score(query, titles, [""] * size), abs=1e-6)


def test_an_int8_score_is_the_same_in_any_company_so_that_judges_see_what_is_served(server, package, model, triton):
    server.load(RECIPE, OLD, package())
    goldens = read_golden(model, SERVING.golden)

    async def joined():
        scorer = TritonScorer(triton.settings)
        try:
            waiting = [scorer.infer(RECIPE, OLD, golden.inputs, timeout_s=60) for golden in goldens * 4]
            return await asyncio.gather(*waiting)
        finally:
            await scorer.close()

    for golden, served in zip(goldens * 4, asyncio.run(joined()), strict=True):
        assert scores(served) == pytest.approx(scores(golden.outputs), abs=1e-6)
    judged = load_package(package()).answers([scorable(*asked(golden.inputs)) for golden in goldens])
    assert judged == [pytest.approx(scores(golden.outputs), abs=1e-6) for golden in goldens]


def scorable(query, items):
    titles = tuple(item.title for item in items)
    return query, titles, ("",) * len(titles)


def test_a_reversal_above_five_items_is_caught_by_the_default_sizes_and_missed_by_smaller_ones(server, package):
    reversing = package(REVERSING)
    assert judge(server, reversing).verdict is Verdict.FAIL
    assert judge(server, reversing, sizes=(1, 5)).verdict is Verdict.PASS


def test_a_corrupt_onnx_fails_the_check_with_the_servers_own_words(server, package, tmp_path):
    shutil.copytree(package(), tmp_path / "corrupt")
    onnx = tmp_path / "corrupt" / "1" / "model.onnx"
    onnx.write_bytes(onnx.read_bytes()[:1000])
    decision = judge(server, tmp_path / "corrupt")
    assert rules(decision, Verdict.FAIL) == {"load"}
    assert "model.onnx" in decision.numbers["seen"]
