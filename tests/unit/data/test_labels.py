from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.deliveries import day, impression, judgement, partition_file
from fakes.engines import duckdb_engine
from recflow.config.sections.data import LabelSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.domain.matching import SKEW
from recflow.domain.queries import query_id
from recflow.tasks.relevance.labels import label_pairs, read_events

SECTION = LabelSection(position_bias_eta=1.0, min_examined=3.0)
OUTCOMES = OutcomesSection()
# A library: nobody buys anything, and what is brought back teaches nothing.
LIBRARY = OutcomesSection.model_validate(
    {
        "kinds": [
            {"name": "view", "strength": 1},
            {"name": "save", "strength": 2.5},
            {"name": "return", "strength": 0},
        ],
        "metrics": [{"name": "return_rate", "kind": "return", "better": "less"}],
    }
)


def searches(count, position, acts=(), *, item=1, minutes=1.0, start=0, **changes):
    """`count` searches that show one item at `position`; `acts`, with their `changes`, befall the first ones."""
    shown_at = day(start).start + timedelta(hours=12)
    rows = [
        impression(
            item,
            event_id=f"{item}-{position}-{n}",
            request_id=f"r{item}-{position}-{n}",
            position=str(position),
            at=shown_at.isoformat(),
        )
        for n in range(count)
    ]
    acted_at = (shown_at + timedelta(minutes=minutes)).isoformat()
    for number, kind in enumerate(acts):
        event_id = f"{item}-{position}-{kind}-{number}"
        rows.append({**rows[number], "kind": kind, "event_id": event_id, "at": acted_at, **changes})
    return rows


def label(folder, *days, section=SECTION, outcomes=OUTCOMES):
    files = [(day(n).label, partition_file(folder / f"{n}.parquet", rows)) for n, rows in enumerate(days)]
    with TemporaryDirectory() as scratch, duckdb_engine(Path(scratch)) as engine:
        labelled, searches = label_pairs(engine, read_events(engine, files), section, outcomes)
        rows, counts = engine.fetch(labelled).to_pylist(), engine.fetch(searches).to_pylist()
    return {row["item_id"]: row for row in rows}, {row["query_id"]: row["searches"] for row in counts}


@pytest.fixture
def labelled(tmp_path):
    return partial(label, tmp_path)


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


@pytest.mark.parametrize(("minutes", "grade"), [(30, 3), (-1, 3), (-2, 3), (-2.1, 0), (-120, 0)])
def test_an_act_before_its_item_was_shown_counts_only_as_far_as_two_clocks_differ(labelled, minutes, grade):
    assert timedelta(minutes=2) == SKEW
    rows, _ = labelled(searches(10, 1, ["purchase"] * 9, minutes=minutes))
    assert rows["i1"]["grade"] == grade


@pytest.mark.parametrize("stranger", [{"user_key": "u2"}, {"request_id": "r-of-nobody"}, {"item_id": "i9"}])
def test_an_act_of_another_user_request_or_item_is_not_this_searchs(labelled, stranger):
    rows, _ = labelled(searches(10, 1, ["purchase"] * 9, **stranger))
    assert {item: row["grade"] for item, row in rows.items()} == {"i1": 0}


def test_request_ids_that_start_anew_each_morning_carry_no_click_into_the_next_day(labelled):
    clicked, not_clicked = searches(10, 1, ["click"] * 10), searches(10, 1, start=1)
    again, searched = labelled(clicked, not_clicked)
    own, searched_own = labelled(clicked, [row | {"request_id": f"own-{row['event_id']}"} for row in not_clicked])
    assert (again["i1"]["grade"], again["i1"]["weight"], searched) == (2, own["i1"]["weight"], searched_own)
    assert own["i1"]["grade"] == 2


def test_an_act_in_reach_of_two_answers_with_one_request_id_belongs_to_the_later_one(labelled):
    before, after = (
        [row | {"at": (day(1).start + timedelta(minutes=m)).isoformat()} for row in searches(10, 1)] for m in (-5, 5)
    )
    clicks = [row | {"kind": "click", "event_id": f"c{n}"} for n, row in enumerate(after[:6])]
    rows, _ = labelled(before, after + clicks)
    assert rows["i1"]["grade"] == 1  # 6 of 20; twelve would be grade 2


def test_a_click_after_midnight_counts_for_the_search_before_it(labelled):
    shown = [row | {"at": (day(1).start - timedelta(minutes=5)).isoformat()} for row in searches(10, 1)]
    clicks = [
        row | {"kind": "click", "event_id": f"c{n}", "at": day(1).start.isoformat()} for n, row in enumerate(shown)
    ]
    rows, _ = labelled(shown, clicks)
    assert rows["i1"]["grade"] == 3


def test_an_act_that_is_reported_many_times_counts_once(labelled):
    rows = searches(10, 1, ["click"])
    once, _ = labelled(rows)
    often, _ = labelled(rows + [rows[-1] | {"event_id": f"again-{n}"} for n in range(50)])
    assert once == often


def test_a_line_names_what_its_outcomes_teach(labelled):
    rows, _ = labelled(
        searches(10, 1, ["view"] * 4, item=1)
        + searches(10, 1, ["save"] * 4, item=2)
        + searches(10, 1, ["return"] * 9, item=3)
        + searches(10, 1, ["click"] * 9, item=4),
        outcomes=LIBRARY,
    )
    assert [rows[f"i{number}"]["grade"] for number in (1, 2, 3, 4)] == [2, 3, 0, 0]


def _never_counts(searched):
    """An act that breaks at least one of the rules."""
    shown_at = day().start + timedelta(hours=12)
    outside = st.floats(-700, -2.01) | st.floats(30.01, 700)
    return st.one_of(
        st.fixed_dictionaries({"user_key": st.sampled_from(["u2", "u3"])}),
        st.fixed_dictionaries({"item_id": st.sampled_from(["i7", "i8"])}),
        st.fixed_dictionaries({"request_id": st.sampled_from(["r7", "r8"])}),
        st.fixed_dictionaries({"kind": st.sampled_from(["like", "return"])}),
        outside.map(lambda minutes: {"at": (shown_at + timedelta(minutes=minutes)).isoformat()}),
    ).flatmap(
        lambda broken: st.builds(
            lambda row, kind: {**row, "kind": kind, **broken},
            st.sampled_from(searched),
            st.sampled_from(["click", "cart"]),
        )
    )


@settings(max_examples=15, deadline=None)
@given(forged=st.lists(_never_counts(searches(8, 1)), min_size=1, max_size=12))
def test_no_number_of_acts_that_break_a_rule_moves_a_label(tmp_path_factory, forged):
    folder, honest = tmp_path_factory.mktemp("forged"), searches(8, 1, ["click"] * 2)
    numbered = [row | {"event_id": f"forged-{n}"} for n, row in enumerate(forged)]
    assert label(folder, honest) == label(folder, honest + numbered)


def test_a_persons_judgement_wins_over_behaviour(labelled):
    rows, _ = labelled([*searches(10, 1, ["purchase"] * 9), judgement(1, grade="0")])
    assert rows["i1"]["grade"] == 0


def test_a_pair_keeps_its_newest_texts_and_day(labelled):
    rows, _ = labelled([judgement(1, title="old")], [judgement(1, title="new")])
    assert (rows["i1"]["title"], rows["i1"]["day"]) == ("new", day(1).label)


def test_searches_are_counted_by_query(labelled):
    _, counts = labelled(searches(5, 1) + searches(5, 2))
    assert counts == {query_id("red shoe"): 10}
