"""A line that recommends goes from days of acts to a decision by every stage, with its real trainer at a tiny size."""

import pytest

from fakes.recommend_world import RecommendLine, cycling
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.parents import Parent
from recflow.domain.golden import read_golden
from recflow.tasks.base import read_signature
from recflow.tasks.registry import find_task

TASK = find_task("recommend")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Three days of users who go along a cycle, with a newcomer among the items; trained, packaged and judged twice."""
    line = RecommendLine(tmp_path_factory.mktemp("line"))
    days = [[*cycling(120, number)] for number in range(3)]
    dataset = line.dataset_ref(*days)
    parent = line.bench.parent()
    checkpoint, package = line.package(dataset, parent)
    line.serving = line.bench.parent(Parent(version="1", checkpoint=checkpoint, package=package))
    line.dataset_of, line.package_of = dataset, package
    line.decision, line.report = line.decide(dataset, package, parent)
    return line


def test_what_follows_what_is_learned_and_passes(judged):
    assert judged.decision.verdict is Verdict.PASS, judged.decision.reasons
    numbers = judged.decision.numbers
    assert numbers["ndcg_candidate"][0] > numbers["ndcg_popularity"][0]
    assert numbers["users"] > 20
    assert 0 < numbers["coverage@10_candidate"] <= 1


def test_its_golden_requests_are_test_users_and_its_signature_is_the_tasks(judged):
    folder = judged.bench.artifacts.fetch(judged.package_of)
    goldens = read_golden(folder, TASK.serving.golden)
    assert len(goldens) == 20
    assert not any(golden.outputs["POPULAR"][0] for golden in goldens)
    assert read_signature(folder) == TASK.serving.signature


def test_the_same_package_is_no_worse_than_itself(judged):
    decision, _ = judged.decide(judged.dataset_of, judged.package_of, judged.serving)
    assert decision.numbers["ndcg_change"] == [0, 0, 0]
    assert decision.numbers["coverage@10_candidate"] == decision.numbers["coverage@10_baseline"]
