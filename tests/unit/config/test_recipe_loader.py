import json
from pathlib import Path

import pytest

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import check_recipe, find_recipe, load_recipe, parse_recipe
from recflow.errors import BadConfiguration

REPOSITORY = Path(__file__).resolve().parents[3]
SOUND = "name: shop_search\nowner: ada\n"


def mistakes(text: str) -> list[str]:
    return check_recipe(text, "shop.yaml")[1]


def test_a_recipe_states_what_differs_and_the_rest_is_default():
    recipe = parse_recipe(SOUND + "training:\n  epochs: 3\n", "shop.yaml")
    assert recipe.training.epochs == 3
    assert recipe.training.learning_rate == Recipe(name="shop_search", owner="ada").training.learning_rate


def test_a_misspelt_key_is_named_with_its_line_and_the_nearest_known_one():
    assert mistakes(SOUND + "training:\n  epoch: 3\n") == ["line 4: training.epoch: unknown key, did you mean epochs?"]


def test_a_misspelt_key_is_found_inside_lists():
    text = SOUND + "rollout:\n  canary:\n    - percent: 5\n    - percent: 20\n      bake_second: 3\n"
    assert mistakes(text) == ["line 7: rollout.canary.1.bake_second: unknown key, did you mean bake_seconds?"]


def test_a_key_like_no_other_is_unknown_without_a_guess():
    assert mistakes(SOUND + "zzzzzz: 1\n") == ["line 3: zzzzzz: unknown key"]


def test_all_mistakes_are_reported_at_once_in_the_order_of_lines():
    text = "name: Shop Search\ntrainng: {}\nsplit:\n  test_percent: 90\ntraining:\n  epochs: many\n"
    found = mistakes(text)
    assert [line.split(": ")[:2] for line in found] == [
        ["line 1", "name"],
        ["line 1", "owner"],
        ["line 2", "trainng"],
        ["line 4", "split.test_percent"],
        ["line 6", "training.epochs"],
    ]


def test_the_error_carries_every_mistake():
    with pytest.raises(BadConfiguration, match="has 2 mistakes") as caught:
        parse_recipe("name: x\n", "shop.yaml")
    assert "owner: Field required" in caught.value.seen


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("training: fast", "training"),
        ("training: [1]", "training"),
        ("tags: 3", "tags"),
        ("split: {test_percent: 20.5}", "split.test_percent"),
        ("data: {source: {adapter: nothing}}", "data.source.adapter"),
        ("schedule: {timezone: Europe/Atlantis}", "schedule.timezone"),
        ("rollout: {canary: [{percent: .nan}]}", "rollout.canary.0.percent"),
    ],
)
def test_a_wrong_type_is_named_with_its_line(line, what):
    (mistake,) = mistakes(SOUND + line + "\n")
    assert mistake.startswith(f"line 3: {what}: ")


@pytest.mark.parametrize("cron", ["0 2 * * 1", "0 */6 * * *", "0 2 1 * *", "99 2 * * *", "0 2,14 * * *", "@weekly", ""])
def test_a_schedule_that_leaves_days_unread_or_reads_them_early_is_refused_with_the_reason(cron):
    (mistake,) = mistakes(f"{SOUND}schedule: {{cron: '{cron}'}}\n")
    assert mistake.startswith("line 3: schedule.cron: ")
    assert "leaves days unread or reads them before they have ended" in mistake


@pytest.mark.parametrize("cron", ["0 2 * * *", "30 23 * * *", "05  4 * * *", "@daily"])
def test_a_daily_schedule_is_taken(cron):
    assert mistakes(f"{SOUND}schedule: {{cron: '{cron}'}}\n") == []


@pytest.mark.parametrize(
    ("section", "bound"),
    [
        ("data: {recent: {max_rows_ratio: 1.0e+9}}", "max_rows_ratio"),
        ("data: {max_requests_per_minute: 1000000}", "max_requests_per_minute"),
        ("labels: {attribution_minutes: 1000000}", "attribution_minutes"),
        ("labels: {position_bias_eta: 50}", "position_bias_eta"),
        ("labels: {min_examined: 1.0e+9}", "min_examined"),
        ("split: {replay_share: 1000}", "replay_share"),
        ("outcomes: {kinds: [{name: impression}], metrics: []}", "impression"),
    ],
)
def test_a_number_that_would_switch_a_rule_off_and_a_taken_name_are_refused(section, bound):
    with pytest.raises(BadConfiguration, match=bound):
        parse_recipe(f"name: search\nowner: tests\n{section}\n", "recipe.yaml")


@pytest.mark.parametrize("text", ["a: [1, 2", "a: 1\na: 2\n", "\tname: x", "a: \x07", "name: 'x"])
def test_what_is_not_yaml_is_said_to_be_none(text):
    with pytest.raises(BadConfiguration, match="not YAML"):
        parse_recipe(text, "shop.yaml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just words\n", "3\n"])
def test_what_is_no_mapping_is_empty(text):
    with pytest.raises(BadConfiguration, match="is empty"):
        parse_recipe(text, "shop.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadConfiguration, match=r"nowhere\.yaml"):
        load_recipe(tmp_path / "nowhere.yaml")


def test_a_file_in_another_encoding_cannot_be_read(tmp_path):
    (tmp_path / "shop.yaml").write_bytes("owner: zoë".encode("latin-1"))
    with pytest.raises(BadConfiguration, match="cannot be read"):
        load_recipe(tmp_path / "shop.yaml")


def test_a_misspelt_recipe_name_meets_the_nearest_one(tmp_path):
    (tmp_path / "shop_search.yaml").write_text(SOUND)
    assert find_recipe(tmp_path, "shop_search").owner == "ada"
    with pytest.raises(BadConfiguration, match="did you mean shop_search"):
        find_recipe(tmp_path, "shop_serch")


def test_the_resolved_recipe_reads_back_as_itself(tmp_path):
    recipe = parse_recipe(SOUND + "training: {learning_rate: 1e-5}\nschedule: {first_day: 2011-02-01}\n", "a")
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    again = load_recipe(tmp_path / "recipe.json")
    assert (again, again.digest) == (recipe, recipe.digest)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_is_right_and_named_as_its_file(path):
    assert load_recipe(path).name == path.stem


def test_the_published_schema_is_current():
    from recflow.cli.recipe import recipe_schema

    published = json.loads((REPOSITORY / "recipes" / "recipe.schema.json").read_text())
    assert published == recipe_schema(), "run: recflow recipe schema > recipes/recipe.schema.json"
