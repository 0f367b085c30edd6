from datetime import timedelta

import pytest

from fakes.deliveries import day, impression, judgement, partition_file
from recflow.config.sections.data import LabelSection
from recflow.data.labels import label_partitions
from recflow.data.split import query_id

SECTION = LabelSection(position_bias_eta=1.0, min_examined=3.0)


def searches(count, position, acts=(), *, item=1, minutes=1):
    """`count` searches that show one item at `position`; `acts` befall the first ones."""
    rows = [
        impression(
            item, event_id=f"{item}-{position}-{n}", request_id=f"r{item}-{position}-{n}", position=str(position)
        )
        for n in range(count)
    ]
    late = (day().start + timedelta(minutes=minutes)).isoformat()
    for number, kind in enumerate(acts):
        rows.append({**rows[number], "kind": kind, "event_id": f"{item}-{position}-{kind}-{number}", "at": late})
    return rows


@pytest.fixture
def labelled(tmp_path):
    def label(*days, section=SECTION):
        files = [(day(n).label, partition_file(tmp_path / f"{n}.parquet", rows)) for n, rows in enumerate(days)]
        table, counts = label_partitions(files, section)
        return {row["item_id"]: row for row in table.to_pylist()}, counts

    return label


def test_judgements_of_one_pair_are_averaged_and_a_disputed_one_weighs_less(labelled):
    rows, _ = labelled([judgement(1, grade="3"), judgement(1, grade="1"), judgement(2, grade="2")])
    assert (rows["i1"]["grade"], rows["i2"]["grade"]) == (2.0, 2.0)
    assert rows["i1"]["weight"] < rows["i2"]["weight"] == 1.0


def test_a_purchase_counts_more_than_a_cart_and_a_cart_more_than_a_click(labelled):
    rows, _ = labelled(
        searches(10, 1, ["click"] * 3, item=1)
        + searches(10, 1, ["cart"] * 3, item=2)
        + searches(10, 1, ["purchase"] * 3, item=3)
        + searches(10, 1, item=4)
    )
    assert [rows[f"i{number}"]["grade"] for number in (4, 1, 2, 3)] == [0, 1, 2, 3]


def test_the_same_clicks_further_down_are_a_better_item(labelled):
    rows, _ = labelled(searches(40, 1, ["click"] * 8, item=1) + searches(40, 4, ["click"] * 8, item=2))
    assert rows["i1"]["grade"] < rows["i2"]["grade"]


def test_without_correction_position_makes_no_difference(labelled):
    plain = LabelSection(position_bias_eta=0, min_examined=3)
    rows, _ = labelled(searches(40, 1, ["click"] * 8, item=1) + searches(40, 4, ["click"] * 8, item=2), section=plain)
    assert rows["i1"]["grade"] == rows["i2"]["grade"]


def test_a_pair_that_was_hardly_examined_has_no_label(labelled):
    rows, _ = labelled(searches(10, 10, ["click"], item=1) + searches(3, 1, item=2))
    assert set(rows) == {"i2"}


def test_only_the_strongest_act_of_a_search_counts(labelled):
    rows, _ = labelled(searches(10, 1, ["click", "click", "click"]) + searches(10, 1, ["cart", "cart", "cart"])[10:])
    assert rows["i1"]["grade"] == 2


def test_an_act_after_the_attribution_window_is_not_this_searchs(labelled):
    rows, _ = labelled(searches(10, 1, ["purchase"] * 5, minutes=31))
    assert rows["i1"]["grade"] == 0


def test_a_persons_judgement_wins_over_behaviour(labelled):
    rows, _ = labelled([*searches(10, 1, ["purchase"] * 9), judgement(1, grade="0")])
    assert rows["i1"]["grade"] == 0


def test_a_pair_keeps_its_newest_texts_and_day(labelled):
    rows, _ = labelled([judgement(1, title="old")], [judgement(1, title="new")])
    assert (rows["i1"]["title"], rows["i1"]["day"]) == ("new", day(1).label)


def test_searches_are_counted_by_query(labelled):
    _, counts = labelled(searches(5, 1) + searches(5, 2))
    assert counts == {query_id("red shoe"): 10}
