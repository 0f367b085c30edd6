import pytest

from recflow.config.recipe import Recipe
from recflow.config.sections.training import TrainingSection
from recflow.domain.changes import (
    BASE_MODEL,
    NEUTRAL_SECTIONS,
    SHAPING,
    differences,
    fingerprint,
    in_short,
    scoring_code,
    shaping_options,
)
from recflow.wiring import STAGES


def made_with(**changes):
    return shaping_options(Recipe(name="shop", owner="search", **changes).model_dump(mode="json"))


def test_every_section_that_a_stage_up_to_the_package_reads_shapes_the_answers():
    before_the_gate = [stage.spec.sections for name, stage in STAGES.items() if name != "offline_gate"]
    assert {part.split(".")[0] for sections in before_the_gate for part in sections} == set(SHAPING)


def test_every_section_of_a_recipe_either_shapes_the_answers_or_is_known_not_to():
    assert NEUTRAL_SECTIONS.isdisjoint(SHAPING)
    assert set(Recipe.model_fields) == {*NEUTRAL_SECTIONS, *SHAPING}


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
    del before["training"]["base_share"], before["outcomes"], before["data"]["source"]["adapter"]
    assert differences(shaping_options(before), made_with()) == ()
    other = made_with(training={"base_share": 0.25})
    default = TrainingSection().base_share
    assert differences(shaping_options(before), other) == (f"training.base_share: {default} → 0.25",)


def test_code_is_told_by_its_length_and_not_printed():
    code = "def process(scores):\n    return scores\n"
    [told] = differences(made_with(), made_with(packaging={"post_processing_code": code}))
    assert told == f"packaging.post_processing_code: none → {len(code)} characters"


def test_other_weights_under_the_same_name_are_a_difference():
    assert differences({BASE_MODEL: "aa"}, {BASE_MODEL: "bb"}) == ("base model: aa → bb",)


@pytest.mark.parametrize(("before", "after"), [({}, {BASE_MODEL: "bb"}), ({BASE_MODEL: "aa"}, {})])
def test_weights_that_a_package_of_a_former_version_did_not_tell_are_not_compared(before, after):
    assert differences(before, after) == ()


def test_files_that_score_are_told_by_their_digests_and_post_processing_by_its_option():
    before = scoring_code({"scoring.py": "a" * 64, "post_processing.py": "b" * 64})
    after = scoring_code({"scoring.py": "c" * 64, "answers.py": "d" * 64})
    told = (f"code answers.py: none → {'d' * 12}", f"code scoring.py: {'a' * 12} → {'c' * 12}")
    assert differences(before, after) == told


def test_a_fingerprint_is_that_of_all_that_shapes_and_of_nothing_else():
    assert fingerprint(made_with()) == fingerprint(made_with(description="says more"))
    code = {"post_processing_code": "def process(scores):\n    return scores\n"}
    other = {"post_processing_code": "def process(scores):\n    return scores  # why\n"}
    assert len({fingerprint(made_with(packaging=each)) for each in ({}, code, other)}) == 3


def test_of_many_differences_a_sentence_has_the_first_few_and_their_number():
    assert in_short(("a", "b", "c")) == "a; b; c"
    assert in_short(("a", "b", "c", "d", "e")) == "a; b; c and 2 more"
