"""A number that is written in another unit is refused: every number of a recipe has a least and a largest value."""

from collections.abc import Iterator
from typing import Any

import pytest

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import check_recipe

SCHEMA = Recipe.model_json_schema()
# Fields that have no bounds, each with its reason.
FREE: dict[str, str] = {}
HEAD = "name: shop_search\nowner: ada\n"


def numbers(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each numeric form that a field may take, alone or in a list."""
    for form in (field, *field.get("anyOf", ()), *([field["items"]] if "items" in field else ())):
        if form.get("type") in ("integer", "number"):
            yield form


def numeric_fields() -> dict[str, list[dict[str, Any]]]:
    models = {**SCHEMA["$defs"], "Recipe": SCHEMA}
    fields = {f"{model}.{name}": f for model, plan in models.items() for name, f in plan.get("properties", {}).items()}
    return {name: found for name, field in fields.items() if (found := list(numbers(field)))}


FIELDS = numeric_fields()


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - FREE.keys()))
def test_a_number_has_both_bounds(name):
    for form in FIELDS[name]:
        assert form.keys() & {"minimum", "exclusiveMinimum"}
        assert form.keys() & {"maximum", "exclusiveMaximum"}


def test_there_are_numbers_to_look_at():
    assert len(FIELDS) > 60
    assert FREE.keys() <= FIELDS.keys()


# A step of the optimiser; and replayed rows may be several times the new ones.
NOT_OF_A_WHOLE = {"TrainingSection.learning_rate", "SplitSection.replay_share"}
PARTS_OF_A_WHOLE = ("share", "margin", "drop", "_rate", "quantile", "confidence", "agreement", "alpha")


SHARES = [name for name in sorted(FIELDS.keys() - NOT_OF_A_WHOLE) if any(part in name for part in PARTS_OF_A_WHOLE)]


@pytest.mark.parametrize("name", SHARES)
def test_a_share_a_rate_or_a_margin_is_at_most_a_whole(name):
    for form in FIELDS[name]:
        assert form.get("maximum", form.get("exclusiveMaximum")) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "offline_gate:\n  changes:\n    - {metric: ndcg@10, max_drop: 3}\n",
        "offline_gate:\n  confidence: 95\n",
        "offline_gate:\n  values:\n    - {metric: mrr, minimum: 60}\n",
        "online_gate:\n  max_relative_drop: 5\n",
        "rollout:\n  infra: {batch_sizes: [0]}\n",
        "rollout:\n  judging: {max_judging_hours: .inf}\n",
        "data:\n  max_quarantined_share: 20\n",
        "compression:\n  max_drop: 1\n",
        "compression:\n  max_ndcg_drop: 1\n",
        "training:\n  max_tokens: 4096\n",
    ],
)
def test_a_number_in_another_unit_is_a_mistake_with_its_line(text):
    recipe, mistakes = check_recipe(HEAD + text, "shop_search.yaml")
    assert recipe is None
    assert mistakes[0].startswith(f"line {2 + text.count(chr(10))}: ")


@pytest.mark.parametrize("rollout", ["canary: [{percent: 0.005}]", "health: {max_error_rate: 1}", "kind: change"])
def test_what_a_ledger_may_hold_and_a_recipe_may_not_ask_for_is_refused_with_its_section(rollout):
    recipe, mistakes = check_recipe(f"{HEAD}rollout:\n  {rollout}\n", "shop_search.yaml")
    assert recipe is None
    assert mistakes[0].startswith(f"line 3: rollout: Value error, {rollout.split(':')[0]}")


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ("{success_metric: clicks}", "success_metric: clicks is no metric of this recipe: ctr"),
        ("{guardrails: [{metric: clicks}]}", "guardrails: clicks is no metric of this recipe: ctr"),
        ("{guardrails: [{metric: ctr}]}", "guardrails: ctr is the success metric"),
        ("{guardrails: [{metric: p95_ms}, {metric: p95_ms, max_relative_drop: 0.5}]}", "guardrails: two have one name"),
        ("{slices: [{name: long_lists, items: 5}, {name: long_lists, items: 50}]}", "slices: two have one name"),
        ("{covariate_days: 0, slices: [{name: returning_users}]}", "slices: without covariate_days"),
    ],
)
def test_a_rule_that_would_not_be_judged_as_it_is_written_is_a_mistake(gate, reason):
    recipe, mistakes = check_recipe(f"{HEAD}online_gate: {gate}\n", "shop_search.yaml")
    assert recipe is None
    assert [reason in mistake for mistake in mistakes] == [True]
