import pytest

from recflow.config.recipe import Recipe
from recflow.config.sections.training import TrainingSection
from recflow.domain.changes import SHAPING, differences, shaping_options
from recflow.wiring import STAGES


def made_with(**changes):
    return shaping_options(Recipe(name="shop", owner="search", **changes).model_dump(mode="json"))


def test_every_section_that_a_stage_up_to_the_package_reads_shapes_the_answers():
    before_the_gate = [stage.spec.sections for name, stage in STAGES.items() if name != "offline_gate"]
    assert {section for sections in before_the_gate for section in sections} == set(SHAPING)


def test_every_option_that_is_left_aside_exists():
    from recflow.domain.changes import _NEUTRAL, all_options

    assert set(all_options(Recipe(name="shop", owner="search").model_dump(mode="json"))) >= _NEUTRAL


def test_an_option_that_differs_is_named_with_both_values():
    assert differences(made_with(), made_with(training={"epochs": 5})) == ("training.epochs: 2 → 5",)


@pytest.mark.parametrize(
    "change",
    [
        {"description": "says more"},
        {"schedule": {"cron": "0 3 * * *"}},
        {"rollout": {"approval": True}},
        {"online_gate": {"planned_users": 9000}},
        {"serving": {"max_items": 20}},
        {"packaging": {"instances": 2}},
        {"training": {"processes": 2}},
        {"data": {"source": {"path": "elsewhere"}}},
    ],
)
def test_what_changes_no_answer_is_no_difference(change):
    assert differences(made_with(), made_with(**change)) == ()


def test_an_option_that_did_not_exist_yet_had_its_default():
    before = Recipe(name="shop", owner="search").model_dump(mode="json")
    del before["training"]["base_share"], before["outcomes"]
    assert differences(shaping_options(before), made_with()) == ()
    other = made_with(training={"base_share": 0.25})
    default = TrainingSection().base_share
    assert differences(shaping_options(before), other) == (f"training.base_share: {default} → 0.25",)


def test_code_is_told_by_its_length_and_not_printed():
    code = "def process(scores):\n    return scores\n"
    [told] = differences(made_with(), made_with(packaging={"post_processing_code": code}))
    assert told == f"packaging.post_processing_code: none → {len(code)} characters"
