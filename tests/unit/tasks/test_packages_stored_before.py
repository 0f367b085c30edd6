"""A package that was stored before signatures were stated (stage version 4) still serves, and is still checked."""

from pathlib import Path

import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_server import FakeModelServer
from fakes.release_world import ReleaseWorld
from fakes.relevance import SERVING, item, score
from fakes.tiny_model import QUERIES, overlap
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.plans import InfraLimits
from recflow.artifacts.refs import RefKind
from recflow.domain.golden import read_golden
from recflow.errors import ArtifactCorrupt
from recflow.evaluation.packaged import load_package
from recflow.monitoring.probes import probe
from recflow.rollout.infra_check import check
from recflow.tasks.base import is_strict, read_signature, refuse_other_signature
from recflow.tasks.relevance import tensors

KEPT = Path(__file__).parents[2] / "fixtures" / "package_4"
PLAIN, PROCESSED = KEPT / "plain", KEPT / "processed"
NEW, WEIGHT = "20110102-bbbbbbbb", 0.75


@pytest.fixture
def server():
    return FakeModelServer(FakeClock())


@pytest.mark.parametrize(("package", "factor"), [(PLAIN, 1), (PROCESSED, 10)])
def test_it_gives_the_scores_that_it_gave(server, package, factor):
    server.load("shop", NEW, package)
    for query, titles in QUERIES.items():
        expected = [factor * overlap(query, title, WEIGHT) for title in titles]
        items = [item(str(number), title) for number, title in enumerate(titles)]
        assert score(server, "shop", NEW, query, items) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("package", [PLAIN, PROCESSED])
def test_it_passes_the_infra_check(server, package):
    decision = check(
        server, "shop", NEW, package, serving=SERVING, baseline="", limits=InfraLimits(), clock=FakeClock()
    )
    assert decision.verdict is Verdict.PASS
    assert {finding.rule for finding in decision.findings} >= {"golden_1", "golden_20", "order_20", "odd_requests"}


@pytest.mark.parametrize("package", [PLAIN, PROCESSED])
def test_it_is_probed_and_its_golden_answers_are_right(tmp_path, package):
    world = ReleaseWorld(tmp_path)
    world.true_server.load(world.recipe.name, NEW, package)
    ref = world.publish(RefKind.PACKAGE, 1, package)
    found = probe(world.true_server, world.artifacts, world.clock, world.recipe, SERVING, NEW, ref)
    assert (found.asked, found.problem, found.unreadable) == (len(QUERIES), "", "")


def test_its_golden_requests_are_named_tensors_now():
    golden = {tensors.request(each.inputs)[0]: each for each in read_golden(PLAIN, SERVING.golden)}
    assert list(golden) == list(QUERIES)
    for query, titles in QUERIES.items():
        assert tensors.request(golden[query].inputs)[1] == titles
        expected = [overlap(query, title, WEIGHT) for title in titles]
        assert golden[query].outputs["SCORE"].tolist() == pytest.approx(expected)


def test_it_tells_no_signature_and_is_not_refused_for_that():
    assert read_signature(PLAIN) is None
    refuse_other_signature(SERVING, PLAIN)
    assert (is_strict(SERVING, PLAIN), is_strict(SERVING, PROCESSED)) == (True, False)


def test_the_offline_gate_opens_it_as_ever():
    package = load_package(PROCESSED)
    assert package.process(package.scorer.score("red shoe", ["red hat"], [""])) == [10 * WEIGHT / 2]


@pytest.mark.parametrize(
    "stored",
    [
        "[]",
        "{}",
        "[1]",
        '[{"inputs": {}}]',
        '[{"query": "a", "titles": ["b"], "descriptions": [""], "scores": []}]',
        '[{"query": "a", "titles": ["b"], "descriptions": [""], "scores": [NaN]}]',
        '[{"query": null, "titles": ["b"], "descriptions": [""], "scores": [1]}]',
        '[{"inputs": {}, "outputs": {}}]',
        '[{"inputs": {"QUERY": ["a"], "TITLE": ["b"], "DESCRIPTION": [""]}, "outputs": {"SCORE": [[1.0]]}}]',
        '[{"inputs": {"QUERY": ["a"], "TITLE": ["b"], "DESCRIPTION": []}, "outputs": {"SCORE": [1.0]}}]',
    ],
)
def test_golden_requests_that_are_none_are_refused(tmp_path, stored):
    (tmp_path / "golden.json").write_text(stored)
    with pytest.raises(ArtifactCorrupt):
        read_golden(tmp_path, SERVING.golden)
