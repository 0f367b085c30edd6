"""Days of rows become acts to be predicted, acts known beforehand, and a catalogue."""

import json

import datasets
import pyarrow.parquet as pq
import pytest

from fakes.deliveries import day
from fakes.recommend_world import RecommendLine, act, cycling, recommend_recipe
from recflow.artifacts.parents import Parent
from recflow.config.sections.data import SplitSection
from recflow.data.split import split_of
from recflow.errors import BadConfiguration, BadData
from recflow.tasks.recommend.judged import read_judged

SPLIT = SplitSection(test_percent=30, evaluation_days=1)


def users_of(side, number):
    """Users whom the hash puts on a side."""
    return [name for name in (f"u{n}" for n in range(1000)) if split_of(name, SPLIT) == side][:number]


TEST, *_ = users_of("test", 1)
VALIDATION, *_ = users_of("validation", 1)
TRAIN, OTHER = users_of("train", 2)


def background(number=0):
    """Acts without which there is nothing to train on or to judge."""
    return [act(user, f"common {n}", number, n) for user in (TRAIN, TEST) for n in range(2)]


def rows_of(dataset, side):
    return [*datasets.load_from_disk(str(dataset / side))]


def acts_of(dataset, side, user):
    """(item, day of January, label) of a user."""
    return [(row["item_id"], row["at"].day, row["label"]) for row in rows_of(dataset, side) if row["user_key"] == user]


def items(dataset):
    return {row["item_id"]: row for row in pq.read_table(dataset / "items.parquet").to_pylist()}


@pytest.fixture
def line(tmp_path):
    return RecommendLine(tmp_path)


def test_no_user_is_in_two_splits_and_every_act_of_a_training_user_is_to_be_predicted(line):
    dataset = line.dataset([*cycling(60, 0)], [*cycling(60, 1)])
    sides = {side: {row["user_key"] for row in rows_of(dataset, side)} for side in ("train", "validation", "test")}
    assert sum(map(len, sides.values())) == len(set.union(*sides.values())) == 60
    assert all(row["label"] == 1 for row in rows_of(dataset, "train"))
    assert json.loads((dataset / "dataset.json").read_text())["known"]["train"] == 0


def test_what_a_test_user_did_before_the_evaluation_window_is_known_and_not_to_be_predicted(line):
    dataset = line.dataset(
        [*background(), act(TEST, "old")], [act(TEST, "older than the window", 1)], [act(TEST, "new", 2)]
    )
    assert acts_of(dataset, "test", TEST)[-3:] == [
        ("common 1", 1, 0), ("older than the window", 2, 0), ("new", 3, 1)
    ]  # fmt: skip
    (judged,) = read_judged(dataset, "test")
    assert judged.targets == ("new",)
    assert judged.history == ("common 0", "old", "common 1", "older than the window")
    assert judged.request["k"] == 10


def test_a_later_data_set_trains_with_every_act_that_is_read_and_validates_by_the_new_ones(line):
    parent = line.bench.parent(Parent(version="1", trained_through=day(1).end))
    old = [*background(), act(OTHER, "old"), act(VALIDATION, "before")]
    dataset = line.dataset(old, background(1), [*background(2), act(VALIDATION, "now", 2)], parent=parent)
    assert acts_of(dataset, "train", OTHER) == [("old", 1, 1)]
    assert len(acts_of(dataset, "train", TRAIN)) == 6
    assert acts_of(dataset, "validation", VALIDATION) == [("before", 1, 0), ("now", 3, 1)]


def test_of_a_held_out_user_without_a_past_the_last_act_is_to_be_predicted_from_the_others(line):
    dataset = line.dataset([*background(), *(act(VALIDATION, item, 0, n) for n, item in enumerate("abc"))])
    assert acts_of(dataset, "validation", VALIDATION) == [("a", 1, 0), ("b", 1, 0), ("c", 1, 1)]


def test_a_users_acts_on_an_item_in_a_day_are_one_of_the_heaviest_kind_at_the_first_moment(line):
    acts = [act(TRAIN, "a", minute=minute, kind=kind) for minute, kind in enumerate(("click", "purchase", "cart"))]
    dataset = line.dataset([*background(), *acts], [*background(1), act(TRAIN, "a", 1)])
    told = [row for row in rows_of(dataset, "train") if row["item_id"] == "a"]
    assert [(row["at"].minute, row["at"].day, row["weight"]) for row in told] == [(0, 1, 3.0), (0, 2, 1.0)]


def test_rows_of_other_kinds_and_of_nobody_teach_nothing(line):
    others = [act(TRAIN, "a", kind="impression"), act(None, "b"), act("", "c"), act(TRAIN, None)]
    dataset = line.dataset([*background(), *others])
    assert {row["item_id"] for row in rows_of(dataset, "train")} == {"common 0", "common 1"}


def test_ids_that_differ_in_case_or_a_trailing_space_are_different_items(line):
    dataset = line.dataset([*background(), *(act(TRAIN, item) for item in ("a", "A", "a "))])
    assert {"a", "A", "a "} <= items(dataset).keys()
    assert {"a", "A", "a "} <= {row["item_id"] for row in rows_of(dataset, "train")}


def test_the_catalogue_has_every_item_with_its_newest_text_first_day_and_acts_that_train(line):
    shown = {"kind": "impression", "user_key": None}
    dataset = line.dataset(
        [*background(), act(TRAIN, "a", title="old title"), act(TEST, "a"), act("", "never acted on", **shown)],
        [
            *background(1),
            act(OTHER, "a", 1, title="new title", category="hats"),
            act("", "untitled", 1, title=None, **shown),
        ],
    )
    found = items(dataset)
    told = {name: found["a"][name] for name in ("text", "first_day", "interactions")}
    assert told == {"text": "new title hats", "first_day": "2011-01-01", "interactions": 2}
    assert (found["never acted on"]["interactions"], found["untitled"]["text"]) == (0, "")
    assert [*found] == sorted(found)


def test_an_item_that_no_row_names_any_longer_is_not_to_be_had(tmp_path):
    line = RecommendLine(tmp_path, recommend_recipe(labels={"available_days": 1}))
    dataset = line.dataset([act(TRAIN, "gone"), *background()], background(1), background(2))
    assert {name: row["available"] for name, row in items(dataset).items()} == {
        "gone": False, "common 0": True, "common 1": True
    }  # fmt: skip


def test_the_country_of_an_act_is_unknown_where_rows_have_none(line):
    assert {row["country"] for row in rows_of(line.dataset(background()), "train")} == {""}


def test_days_without_an_act_on_an_item_say_what_they_need(line):
    with pytest.raises(BadData, match="no train rows") as refusal:
        line.dataset([act(None, "a"), act(TRAIN, None)])
    assert "acts of known users on items" in refusal.value.expected


def test_a_kind_that_no_row_can_have_is_a_mistake_of_the_recipe(tmp_path):
    line = RecommendLine(tmp_path, recommend_recipe(labels={"weights": {"puchase": 1}}))
    with pytest.raises(BadConfiguration, match="kinds that no row can have") as refusal:
        line.dataset(background())
    assert (refusal.value.expected, refusal.value.seen) == ("cart, click, purchase", "puchase")
