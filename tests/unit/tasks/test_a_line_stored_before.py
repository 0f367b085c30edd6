"""A line that was stored when tasks were young has the keys that it had, answers as it did and is judged as it was."""

import json
from dataclasses import replace

import pytest

from fakes.stored_line import KINDS, RECIPE, SCORES, stored, stored_artifacts
from recflow.artifacts.decisions import Decision
from recflow.config.recipe import Recipe
from recflow.domain.changes import all_options
from recflow.domain.golden import read_golden
from recflow.evaluation import run as evaluation
from recflow.evaluation.packaged import open_package
from recflow.stages import StageContext, stage_key
from recflow.tasks.relevance import tensors
from recflow.tasks.relevance.task import TASK
from recflow.wiring import STAGES


@pytest.fixture
def artifacts(tmp_path):
    return stored_artifacts(tmp_path / "cache")


@pytest.mark.parametrize("stage", KINDS)
def test_each_result_is_found_by_the_key_of_the_recipe_as_it_was_written(artifacts, stage):
    _, manifest = stored(artifacts, stage)
    spec = replace(STAGES[stage].spec, version=manifest.stage_version)
    assert stage_key(spec, RECIPE, manifest.interval, manifest.inputs) == manifest.key


def test_the_recipe_that_stands_in_a_package_is_the_one_that_was_written(artifacts):
    text = artifacts.read(stored(artifacts, "package")[0], "recipe.json")
    found = Recipe.model_validate_json(text)
    assert (found, found.digest) == (RECIPE, RECIPE.digest)
    written, now = all_options(json.loads(text)), all_options(found.model_dump(mode="json"))
    assert {name: now[name] for name in written} == written


def test_the_package_gives_the_scores_of_its_checkpoint_and_its_golden_answers(artifacts):
    ref = stored(artifacts, "package")[0]
    package, dataset = open_package(artifacts, ref), artifacts.fetch(stored(artifacts, "build_dataset")[0])
    test = TASK.metrics.read(dataset, "test")
    assert [pytest.approx(scores, abs=1e-4) for scores in SCORES] == package.answers(map(TASK.metrics.request, test))
    golden = read_golden(artifacts.fetch(ref), TASK.serving.golden)
    answers = package.answers([tensors.request(each.inputs) for each in golden])
    assert [pytest.approx(each.outputs["SCORE"].tolist(), abs=1e-4) for each in golden] == answers


def test_the_offline_gate_decides_as_it_did(artifacts, tmp_path):
    ref, manifest = stored(artifacts, "offline_gate")
    output = tmp_path / "decision"
    output.mkdir()
    context = StageContext(RECIPE, manifest.interval, manifest.inputs, artifacts, output, manifest.key)
    evaluation.run(context, task=TASK, encoders=None)
    before, now = (
        Decision.model_validate_json(text)
        for text in (artifacts.read(ref, "decision.json"), (output / "decision.json").read_bytes())
    )
    assert [(each.rule, each.verdict, each.reason) for each in now.findings] == [
        (each.rule, each.verdict, each.reason) for each in before.findings
    ]
    assert (now.verdict, now.reasons, now.numbers) == (before.verdict, before.reasons, before.numbers)
