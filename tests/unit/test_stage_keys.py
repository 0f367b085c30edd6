"""A recipe that was written before tasks gave their own sections has the keys, and so the results, that it had."""

from datetime import UTC, datetime

import pytest

from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import check_recipe, parse_recipe
from recflow.stages import stage_key
from recflow.wiring import STAGES

DAY = Interval(label="2011-01-01", start=datetime(2011, 1, 1, tzinfo=UTC), end=datetime(2011, 1, 2, tzinfo=UTC))
WRITTEN = """
name: search
owner: tests
labels:
  attribution_minutes: 60
  position_bias_eta: 0.5
  negatives: {random: 2, bm25: 1}
training:
  views: [title, title_description]
  loss: listwise
  epochs: 3
offline_gate:
  values:
    - {metric: mrr, minimum: 0.25, slice: head}
  changes:
    - {metric: ndcg@10, max_drop: 0.05}
    - {metric: f1, max_drop: 0.1, slice: tail}
  floors: [bm25, popularity]
  slices:
    - {name: tail, min_queries: 30, required: true}
  min_queries: 25
"""
RECIPES = {"plain": Recipe(name="search", owner="tests"), "written": parse_recipe(WRITTEN, "search.yaml")}
KEYS = {
    "plain": {
        "validate_partition": "4ec2c4ab55b97dca",
        "build_dataset": "61e35d7ce2f69661",
        "fine_tune": "4900f0ac2f154601",
        "compress": "80cb0cbe5b7779ab",
        "package": "3f8d210c80257a9f",
        "offline_gate": "0dfbeeca46e1a53e",
    },
    "written": {
        "validate_partition": "42768584b27a7f1c",
        "build_dataset": "d9c900e15550758d",
        "fine_tune": "c69c44b480bab0eb",
        "compress": "80cb0cbe5b7779ab",
        "package": "3f8d210c80257a9f",
        "offline_gate": "511f3aa8c7cb5e21",
    },
}


def key_of(stage: str, recipe: Recipe) -> str:
    spec = STAGES[stage].spec
    inputs = {
        name: (Ref(kind=RefKind.DATASET, uri=name, digest=f"{number}" * 64),) for number, name in enumerate(spec.inputs)
    }
    return stage_key(spec, recipe, DAY, inputs)[:16]


RENAMED = {"max_ndcg_drop": "max_drop", "golden_queries": "golden_requests"}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("written", RECIPES)
def test_the_key_of_a_stage_is_what_it_was(written, stage):
    assert key_of(stage, RECIPES[written]) == KEYS[written][stage]


@pytest.mark.parametrize(("before", "now"), RENAMED.items())
def test_an_option_that_was_renamed_has_one_key_under_both_names_and_is_stored_under_the_first(before, now):
    head = "name: search\nowner: tests\ncompression:\n  "
    value = 0.5 if "drop" in before else 5
    old, new = (parse_recipe(f"{head}{name}: {value}", "search.yaml") for name in (before, now))
    assert key_of("compress", old) == key_of("compress", new) != KEYS["plain"]["compress"]
    assert (old, old.digest) == (new, new.digest)
    assert new.model_dump()["compression"][before] == value
    assert Recipe.model_validate_json(new.model_dump_json()) == new


@pytest.mark.parametrize(("before", "now"), RENAMED.items())
def test_an_option_that_was_renamed_is_not_taken_under_both_names_at_once(before, now):
    _, mistakes = check_recipe(f"name: search\nowner: tests\ncompression: {{{before}: 0.5, {now}: 0.5}}", "search.yaml")
    assert any("unknown key" in mistake and now in mistake for mistake in mistakes)
