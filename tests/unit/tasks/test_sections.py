"""A recipe's labels, training and offline gate are typed by its task: another task's options are refused."""

import pytest
from pydantic import ValidationError

from fakes.toy_task import ToyGate, ToyLabels, ToyTraining, installed
from fakes.toy_world import toy_recipe
from recflow.cli.recipe import recipe_schema
from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import check_recipe
from recflow.config.sections.training import TrainingSection
from recflow.config.tasks import section_as
from recflow.errors import BadConfiguration

TOY = "name: toy_line\nowner: tests\ntask: toy\n"
SHOP = "name: shop\nowner: tests\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    def install(place="fakes.toy_task:TASK"):
        monkeypatch.syspath_prepend(installed(tmp_path / "site", place=place))

    return install


def mistakes_of(text):
    return check_recipe(text, "recipe.yaml")[1]


def test_the_sections_of_a_recipe_are_those_of_its_task(install):
    install()
    recipe = toy_recipe()
    assert [type(found) for found in (recipe.labels, recipe.training, recipe.offline_gate)] == [
        ToyLabels,
        ToyTraining,
        ToyGate,
    ]


def test_what_a_recipe_says_in_its_tasks_sections_survives_a_file(install):
    install()
    recipe, mistakes = check_recipe(
        f"{TOY}training:\n  steps: 7\noffline_gate:\n  slices: [{{name: rare}}]\n", "recipe"
    )
    assert mistakes == []
    assert recipe.training.steps == 7
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("training:\n  base_model: a\n  trained_layers: 2\n", "line 6: training.trained_layers: unknown key"),
        ("training:\n  step: 2\n", "line 5: training.step: unknown key, did you mean steps?"),
        ("training:\n  steps: 0\n", "line 5: training.steps: Input should be greater than or equal to 1"),
        ("labels:\n  position_bias_eta: 0.5\n", "line 5: labels.position_bias_eta: unknown key"),
        ("offline_gate:\n  min_queries: 20\n", "line 5: offline_gate.min_queries: unknown key, did you mean min_rows?"),
        ("offline_gate:\n  floors: [bm25]\n", "line 5: offline_gate.floors.0: Input should be 'constant'"),
        (
            "offline_gate:\n  slices:\n    - {name: tail}\n",
            "line 6: offline_gate.slices.0.name: Input should be 'rare'",
        ),
    ],
)
def test_an_option_of_another_task_is_refused_with_its_line(install, section, told):
    install()
    assert mistakes_of(TOY + section) == [told]


def test_relevance_refuses_the_toys_options_as_the_toy_refuses_its(install):
    install()
    assert mistakes_of(f"{SHOP}training:\n  steps: 7\n") == ["line 4: training.steps: unknown key"]


def test_a_section_that_was_made_for_another_task_is_refused(install):
    install()
    with pytest.raises(ValidationError, match="options of another task: ToyTraining is expected"):
        toy_recipe(training=TrainingSection(epochs=3))


def test_options_of_a_plugin_that_cannot_be_imported_are_not_judged(install):
    install("no_such_module:TASK")
    assert mistakes_of(f"{TOY}training:\n  steps: 7\n") == []


def test_what_needs_another_tasks_options_says_so(install):
    install()
    with pytest.raises(BadConfiguration, match="none of the options that this needs"):
        section_as(toy_recipe().training, TrainingSection)


def test_the_published_schema_ties_the_sections_to_the_task():
    schema = recipe_schema()
    tied = {each["if"]["properties"]["task"]["const"]: each["then"]["properties"] for each in schema["allOf"]}
    kinds = {
        task: [told[name]["$ref"].rpartition("/")[2] for name in ("labels", "training", "offline_gate")]
        for task, told in tied.items()
    }
    assert kinds == {
        "relevance": ["LabelSection", "TrainingSection", "OfflineGateSection"],
        "recommend": ["RecommendLabels", "RecommendTraining", "RecommendGate"],
    }
    assert "trained_layers" in schema["$defs"]["TrainingSection"]["properties"]
