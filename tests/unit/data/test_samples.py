from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engines import duckdb_engine
from recflow.config.sections.data import SplitSection
from recflow.data import samples
from recflow.data.samples import splits
from recflow.data.split import split_of
from recflow.tasks.relevance.examples import with_frequency

replayed = partial(samples.replayed, key=("query_id", "item_id"), unit="query_id")


def computed(tables, compute):
    """The rows that `compute` makes of an engine and its tables."""
    with TemporaryDirectory() as folder, duckdb_engine(Path(folder)) as engine:
        return engine.fetch(compute(engine, *(engine.load(table) for table in tables))).to_pylist()


def pairs(rows, split="train"):
    """As many labelled pairs of each query as `rows` says."""
    named = [(query, f"i{number}") for query, count in rows.items() for number in range(count)]
    texts = {"query_id": [query for query, _ in named], "item_id": [item for _, item in named]}
    schema = pa.schema([("query_id", pa.string()), ("item_id", pa.string()), ("split", pa.string())])
    return pa.table({**texts, "split": [split] * len(named)}, schema=schema)


def sample(rows, wanted, seed):
    """The queries that are replayed when `wanted` rows are."""
    fresh, section = pairs({"fresh": 1}), SplitSection(replay_share=wanted)
    taken = computed([fresh, pairs(rows)], lambda engine, new, past: replayed(engine, new, past, section, seed))
    return {row["query_id"] for row in taken}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, unique=True))
def test_the_engine_splits_as_the_rule_says(queries):
    table = pa.table({"query_id": queries})
    rows = computed([table], lambda _, names: names.mutate(split=splits(names.query_id, SplitSection())))
    assert {row["query_id"]: row["split"] for row in rows} == {name: split_of(name, SplitSection()) for name in queries}


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 9), min_size=1), st.floats(0, 50))
def test_sampled_queries_hold_the_wanted_rows_and_at_most_one_query_more(rows, wanted):
    held = sorted(rows[query] for query in sample(rows, wanted, "seed"))
    assert sum(held) >= min(wanted, sum(rows.values()))
    assert sum(held) - max(held, default=0) < max(wanted, 1)


def test_another_day_replays_other_queries():
    rows = {str(number): 1 for number in range(100)}
    assert sample(rows, 20, "2011-01-01") != sample(rows, 20, "2011-01-02")


def test_neither_test_queries_nor_pairs_that_are_labelled_anew_are_replayed():
    section = SplitSection(replay_share=100)
    past = pa.concat_tables([pairs({"a": 2}), pairs({"held out": 2}, "test")])
    rows = computed([pairs({"a": 1}), past], lambda engine, new, old: replayed(engine, new, old, section, "seed"))
    assert [(row["query_id"], row["item_id"]) for row in rows] == [("a", "i1")]


def test_head_torso_and_tail_are_thirds_of_the_searches():
    counts = {"a": 50, "b": 20, "c": 15, "d": 10, "e": 5}
    searches = pa.table({"query_id": [*counts], "searches": [*counts.values()]})
    rows = pairs(dict.fromkeys(counts, 1))
    named = computed([rows, searches], lambda _, table, asked: with_frequency(table, asked))
    assert {row["query_id"]: row["frequency"] for row in named} == {
        "a": "head",
        "b": "torso",
        "c": "tail",
        "d": "tail",
        "e": "tail",
    }


def test_a_query_that_was_not_searched_counts_once():
    searches = pa.table({"query_id": ["a"], "searches": [1]})
    named = computed([pairs({"a": 1, "b": 1, "c": 1}), searches], lambda _, table, asked: with_frequency(table, asked))
    assert {row["query_id"]: row["frequency"] for row in named} == {"a": "head", "b": "torso", "c": "tail"}
