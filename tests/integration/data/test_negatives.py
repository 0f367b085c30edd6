"""Negatives on both engines: which items are drawn, and which never."""

from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engines import duckdb_engine
from recflow.config.sections.data import NegativesSection
from recflow.data.rows import PARTITION
from recflow.domain.near_duplicates import near_duplicate_key
from recflow.domain.queries import query_id
from recflow.tasks.relevance.negatives import negatives_of
from recflow.tasks.relevance.popularity import count_acts
from recflow.tasks.relevance.rows import LABELLED

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

LEARNED = pa.schema(
    [(name, pa.float32() if name in ("grade", "weight") else pa.string()) for name in (*LABELLED, "split")]
)
EVENTS = pa.schema(
    [(f.name, f.type) for f in PARTITION if f.name != "at"] + [("day", pa.string()), ("query_id", pa.string())]
)
ACTS = ("click", "cart", "purchase")


def label(query, item, grade, title=None, split="train"):
    texts = {"query_id": query_id(query), "query": query, "item_id": item, "title": title or item, "description": ""}
    return {**texts, "grade": grade, "weight": 1.0, "day": "2011-01-01", "split": split}


def event(query, item, title=None, kind="impression", number=0):
    row = dict.fromkeys(EVENTS.names) | {"query": query, "query_id": query_id(query), "item_id": item, "kind": kind}
    title = item if title is None else title
    return row | {"event_id": f"e{number}", "request_id": f"r{number}", "title": title, "day": "2011-01-01"}


def catalogue(number, title="item {}"):
    """A showing of each of some items, for a query that nobody labelled."""
    return [event("another query", f"i{n}", title.format(n), number=n) for n in range(number)]


def drawn(open_engine, labels, events, seed="2011-01-01", **section):
    """The negatives, in the order of pairs."""
    with TemporaryDirectory() as folder, open_engine(Path(folder)) as engine:
        learned = engine.load(pa.Table.from_pylist(labels, LEARNED))
        rows = engine.load(pa.Table.from_pylist(events, EVENTS))
        acts = engine.keep(count_acts(rows, ACTS))
        made = negatives_of(engine, learned, rows, acts, NegativesSection(**section), seed)
        return engine.fetch(made.order_by(["query_id", "item_id"])).to_pylist()


# On the cluster a draw takes half a minute: one rich day is drawn there, and must be what is drawn here.
draw = pytest.fixture(lambda: partial(drawn, duckdb_engine), name="draw")


def rich_day():
    """Labels and events of two queries of two splits, with hard, popular and other items."""
    labels = [label("red shoe", "good", 3.0), label("blue hat", "fine", 2.0, split="validation")]
    shown = [event("x", f"s{n}", f"red hat {n}", number=n) for n in range(20)] + catalogue(200)
    shown += [event("x", f"i{n % 7}", kind="click", number=1000 + n) for n in range(30)]
    shown += [event("red shoe", "good", "red shoe, red and red"), event("blue hat", "fine", "blue hat, a hat of hats")]
    return labels, shown


def test_both_engines_draw_the_same(spark_engine):
    here, there = (drawn(one, *rich_day(), random=5, popular=4, bm25=3) for one in (duckdb_engine, spark_engine))
    assert len(here) == 24
    assert [{**row, "weight": round(row["weight"], 6)} for row in there] == [
        {**row, "weight": round(row["weight"], 6)} for row in here
    ]


def items(rows, kind=None):
    return [row["item_id"] for row in rows if kind in (None, row["negative"])]


def test_each_query_gets_as_many_of_each_kind_as_the_recipe_says_and_no_item_twice(draw):
    rows = draw(*rich_day(), random=5, popular=4, bm25=3, weight=0.25)
    for query, split in (("red shoe", "train"), ("blue hat", "validation")):
        own = [row for row in rows if row["query"] == query]
        assert Counter(row["negative"] for row in own) == {"random": 5, "popular": 4, "bm25": 3}
        assert len(set(items(own))) == 12
        assert {(row["grade"], row["weight"], row["split"], row["query_id"]) for row in own} == {
            (0.0, 0.25, split, query_id(query))
        }
    assert all(row["title"].startswith("red hat") for row in rows if row["negative"] == "bm25")


def test_equal_seeds_draw_equal_items_and_another_day_draws_others(draw):
    labels, shown = [label("red shoe", "good", 3.0)], catalogue(300)
    first, again, other = (draw(labels, shown, seed, random=10, popular=10) for seed in ("a", "a", "b"))
    assert first == again
    assert set(items(first)) != set(items(other))


def test_no_pair_that_the_days_know_is_a_negative(draw):
    labels = [label("red shoe", "good", 3.0)]
    known = [event("RED  shoe", f"i{n}", kind=kind, number=500 + n) for n, kind in enumerate(["impression", *ACTS])]
    rows = draw(labels, catalogue(8) + known, random=50, popular=50, bm25=50)
    assert sorted(items(rows)) == ["i4", "i5", "i6", "i7"]


def test_no_title_that_says_the_same_as_a_positives_is_a_negative(draw):
    labels = [label("red shoe", "good", 1.0, "Trail Runner, red"), label("red shoe", "bad", 0.0, "Tent")]
    titles = ["trail  RUNNER red!", "trail runner blue", "TENT"]
    rows = draw(labels, [event("x", f"i{n}", title, number=n) for n, title in enumerate(titles)], random=9)
    assert sorted(items(rows)) == ["i1", "i2"]


def test_what_fits_almost_as_well_as_the_best_positive_may_be_one_and_is_left_out(draw):
    labels = [label("red trail shoe", "good", 3.0)]
    titles = {"good": "red trail shoe", "same": "red trail shoe", "less": "red trail tent", "far": "garden chair"}
    shown = [event("x", item, title, number=n) for n, (item, title) in enumerate(titles.items())] + catalogue(20)
    known = [event("red trail shoe", "good", titles["good"])]
    assert items(draw(labels, shown + known, bm25=9)) == ["less"]
    assert items(draw(labels, shown + known, bm25=9, max_share_of_positive=0.1)) == []
    assert "same" not in items(draw(labels, shown + known, random=50, popular=50))


def test_the_hardest_come_first(draw):
    labels = [label("red trail shoe", "good", 3.0)]
    titles = {"good": "red trail shoe", "a": "red tent", "b": "red trail tent", "c": "blue tent"}
    shown = [event("x", item, title, number=n) for n, (item, title) in enumerate(titles.items())] + catalogue(20)
    shown.append(event("red trail shoe", "good", titles["good"]))
    assert items(draw(labels, shown, bm25=1)) == ["b"]
    assert items(draw(labels, shown, bm25=9)) == ["a", "b"]


def test_popular_items_are_drawn_by_their_acts_to_the_power_of_three_quarters(draw):
    labels = [label(f"query {n}", "good", 3.0) for n in range(400)]
    shown = catalogue(100) + [event("x", "i0", kind="click", number=1000 + n) for n in range(80)]
    taken = Counter(items(draw(labels, shown, popular=1)))
    expected = 81**0.75 / (81**0.75 + 99)
    assert taken["i0"] / 400 == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 400) ** 0.5)
    assert len(taken) > 50


def test_random_items_are_drawn_evenly(draw):
    labels = [label(f"query {n}", "good", 3.0) for n in range(400)]
    shown = catalogue(40) + [event("x", "i0", kind="click", number=1000 + n) for n in range(80)]
    taken = Counter(items(draw(labels, shown, random=5)))
    assert len(taken) == 40
    assert all(abs(count - 50) < 5 * 50**0.5 for count in taken.values())


def test_a_click_that_is_reported_again_makes_nothing_more_popular(engine, tmp_path):
    clicks = [event("x", "i0", kind="click", number=1)] * 9 + [event("x", "i1", kind="click", number=n) for n in (2, 3)]
    judged = [event("x", "i2", kind="judgement", number=4) | {"grade": grade} for grade in (3.0, 1.0)]
    with engine(tmp_path) as opened:
        rows = opened.load(pa.Table.from_pylist([*clicks, *judged, event("x", "i3")], EVENTS))
        counted = opened.fetch(count_acts(rows, ACTS)).to_pylist()
    assert {row["item_id"]: row["acts"] for row in counted} == {"i0": 1, "i1": 2, "i2": 1}


class TestWhatIsThinOrOdd:
    def test_more_are_asked_for_than_there_are(self, draw):
        rows = draw([label("red shoe", "good", 3.0)], catalogue(7), random=1000, popular=1000, bm25=1000)
        assert sorted(items(rows)) == [f"i{n}" for n in range(7)]

    def test_a_catalogue_of_one_item(self, draw):
        labels = [label("red shoe", "i0", 3.0, "item 0"), label("blue hat", "good", 3.0)]
        rows = draw(labels, [event("red shoe", "i0", "item 0")], random=3, popular=3, bm25=3)
        assert [(row["query"], row["item_id"]) for row in rows] == [("blue hat", "i0")]

    def test_an_empty_catalogue(self, draw):
        assert draw([label("red shoe", "good", 3.0)], [], random=3, popular=3, bm25=3) == []

    def test_a_query_whose_items_are_all_relevant_gets_something_to_tell_them_from(self, draw):
        labels = [label("red shoe", f"i{n}", 3.0, f"item {n}") for n in range(3)]
        shown = catalogue(6) + [event("red shoe", f"i{n}", f"item {n}", number=50 + n) for n in range(3)]
        assert items(draw(labels, shown, random=9)) == ["i3", "i4", "i5"]

    def test_a_query_without_a_positive_gets_none(self, draw):
        assert draw([label("red shoe", "bad", 0.0)], catalogue(9), random=3, popular=3, bm25=3) == []

    def test_items_without_a_title_are_none(self, draw):
        shown = [event("x", "i0", "", number=0), event("x", "i1", number=1) | {"title": None}, *catalogue(9)[2:4]]
        assert items(draw([label("red shoe", "good", 3.0)], shown, random=9)) == ["i2", "i3"]

    def test_titles_without_letters(self, draw):
        labels = [label("!!", "good", 3.0, "??")]
        shown = [event("x", "i0", "!!!", number=0), event("x", "i1", "🙂", number=1)]
        assert items(draw(labels, shown, random=9, bm25=9)) == ["i0", "i1"]

    def test_chinese_titles_are_compared_sign_by_sign(self, draw):
        labels = [label("红色跑鞋", "good", 3.0)]
        titles = {"good": "红色跑鞋，红色", "near": "红色帽子", "far": "电饭煲"}
        shown = [event("x", item, title, number=n) for n, (item, title) in enumerate(titles.items())]
        shown += [event("红色跑鞋", "good", titles["good"]), *catalogue(9)]
        assert items(draw(labels, shown, bm25=9)) == ["near"]

    def test_an_item_whose_title_changed_is_taken_with_its_newest(self, draw):
        old, new = event("x", "i0", "old tent", number=1), event("x", "i0", "new tent", number=2)
        (row,) = draw([label("red shoe", "good", 3.0)], [new | {"day": "2011-01-02"}, old], random=1)
        assert (row["title"], row["day"]) == ("new tent", "2011-01-02")


TITLES = st.sampled_from(["red shoe", "Red shoe!", "red tent", "blue tent", "鞋 红", "", "!!", "shoe shoe shoe"])
QUERIES = st.sampled_from(["red shoe", "RED shoe", "tent", "鞋", "?"])


@settings(max_examples=25, deadline=None)
@given(
    shown=st.lists(st.tuples(QUERIES, st.integers(0, 12), TITLES), max_size=30),
    labelled=st.dictionaries(st.tuples(QUERIES, st.integers(0, 12)), st.tuples(st.integers(0, 3), TITLES), max_size=12),
    numbers=st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)),
)
def test_of_any_days_no_negative_is_known_or_says_what_a_positive_says(shown, labelled, numbers):
    labels = [
        label(query, f"i{item}", float(grade), title, split=query_id(query))
        for (query, item), (grade, title) in labelled.items()
    ]
    events = [event(query, f"i{item}", title, number=n) for n, (query, item, title) in enumerate(shown)]
    events += [event(one["query"], one["item_id"], one["title"], number=99) for one in labels]
    rows = drawn(duckdb_engine, labels, events, random=numbers[0], popular=numbers[1], bm25=numbers[2])
    known = {(one["query_id"], one["item_id"]) for one in events}
    alike = {(one["query_id"], near_duplicate_key(one["title"])) for one in labels if one["grade"] > 0}
    pairs = [(row["query_id"], row["item_id"]) for row in rows]
    assert len(set(pairs)) == len(pairs)
    assert not known & set(pairs)
    assert not {(row["query_id"], near_duplicate_key(row["title"])) for row in rows} & {a for a in alike if a[1]}
    counts = Counter((row["query_id"], row["negative"]) for row in rows)
    assert all(
        count <= dict(zip(("random", "popular", "bm25"), numbers, strict=True))[kind]
        for (_, kind), count in counts.items()
    )
