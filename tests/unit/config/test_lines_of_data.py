"""A recipe without a model, and the calendar of a line."""

from datetime import date

import pytest

from recflow.config.recipe import OF_A_MODEL, Recipe
from recflow.config.recipe_loader import check_recipe

DATA_LINE = "name: retail\nowner: tests\ntask: none\n"


def test_a_line_of_data_alone_has_no_model():
    recipe, mistakes = check_recipe(DATA_LINE + "retention: {keep_days: 10}\n", "retail.yaml")
    assert mistakes == []
    assert not recipe.has_model
    assert Recipe(name="search", owner="tests").has_model


@pytest.mark.parametrize("section", OF_A_MODEL)
def test_a_section_that_nobody_would_read_is_refused_with_its_line(section):
    option = {
        "outcomes": "{kinds: [{name: click}], metrics: [{name: ctr, kind: click}]}",
        "labels": "min_examined: 2", "split": "salt: x", "training": "epochs: 9", "compression": "opset: 17",
        "packaging": "threads: 2", "offline_gate": "confidence: 0.9", "online_gate": "success_metric: cart_rate",
        "rollout": "approval: true", "serving": "deadline_ms: 100", "watch": "min_requests: 7",
    }[section]  # fmt: skip
    recipe, [mistake] = check_recipe(f"{DATA_LINE}{section}:\n  {option}\n", "retail.yaml")
    assert recipe is None
    assert mistake.startswith(f"line 4: {section}:")
    assert "no model" in mistake


def test_the_calendar_tells_closed_days_from_days_that_should_have_events():
    recipe, _ = check_recipe(
        DATA_LINE + "schedule:\n  closed_weekdays: [saturday]\n"
        "  closed:\n  - {first: 2010-12-24, last: 2011-01-03, reason: Christmas}\n  - {first: 2011-08-29}\n",
        "retail.yaml",
    )
    closed = recipe.schedule.closed_on
    assert closed(date(2010, 12, 4)) == "closed on every Saturday"
    assert closed(date(2010, 12, 24)) == "2010-12-24 is no day with events: Christmas"
    assert closed(date(2011, 1, 3)).endswith("Christmas")
    assert closed(date(2011, 8, 29)) == "2011-08-29 is no day with events: closed"
    assert {closed(date(2010, 12, 5)), closed(date(2011, 1, 4)), closed(date(2011, 8, 30))} == {""}


def test_a_span_of_closed_days_that_ends_before_it_begins_is_refused():
    _, [mistake] = check_recipe(
        DATA_LINE + "schedule: {closed: [{first: 2011-01-03, last: 2010-12-24}]}\n", "retail.yaml"
    )
    assert "2010-12-24 is before 2011-01-03" in mistake
