"""A line that recommends goes from days of acts to a decision by every stage, with its real trainer at a tiny size."""

import pytest

from fakes.recommend_world import ITEMS, RecommendLine, act, cycling, recommend_recipe
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.config.recipe_loader import check_recipe
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


def test_every_floor_answers_and_a_slice_that_no_user_belongs_to_fails(judged):
    gate = {"floors": ["popularity", "item_knn", "untrained"], "slices": [{"name": "new_items"}]}
    recipe = recommend_recipe(offline_gate=gate)
    decision, _ = judged.decide(judged.dataset_of, judged.package_of, judged.bench.parent(), recipe)
    assert decision.numbers["ndcg_item_knn"][0] > decision.numbers["ndcg_untrained"][0]
    assert decision.verdict is Verdict.FAIL
    assert decision.reasons[0] == "slice new_items: no user belongs to new_items"


def test_a_slice_of_too_few_users_is_not_judged(tmp_path, judged):
    line = RecommendLine(tmp_path, recommend_recipe(offline_gate={"slices": [{"name": "short_histories"}]}))
    newcomers = [act(f"n{user:02d}", ITEMS[user + step], 2, step) for user in range(12) for step in range(2)]
    dataset = line.dataset_ref(*([*cycling(120, n), *(newcomers if n == 2 else [])] for n in range(3)))
    package = line.bench.publish(RefKind.PACKAGE, judged.bench.artifacts.fetch(judged.package_of))
    decision, _ = line.decide(dataset, package, line.bench.parent())
    (finding,) = (finding for finding in decision.findings if finding.rule == "slice short_histories")
    assert (finding.verdict, finding.blocking) == (Verdict.NOT_EVALUATED, False)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("training:\n  trained_layers: 2\n", "line 5: training.trained_layers: unknown key"),
        ("labels:\n  position_bias_eta: 0.5\n", "line 5: labels.position_bias_eta: unknown key"),
        ("offline_gate:\n  floors: [bm25]\n", "line 5: offline_gate.floors.0: Input should be 'popularity'"),
        ("offline_gate:\n  min_queries: 20\n", "line 5: offline_gate.min_queries: unknown key"),
    ],
)
def test_an_option_of_another_task_is_refused_with_its_line(section, told):
    _, mistakes = check_recipe(f"name: shop\nowner: tests\ntask: recommend\n{section}", "recipe.yaml")
    assert any(mistake.startswith(told) for mistake in mistakes), mistakes
