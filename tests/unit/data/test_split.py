from hypothesis import given
from hypothesis import strategies as st

from recflow.config.sections.data import SplitSection
from recflow.data.split import frequencies, histogram, sample_queries, split_of
from recflow.domain.queries import query_id
from recflow.domain.text import normalise

SECTION = SplitSection()


@given(st.text(max_size=30))
def test_spellings_of_one_query_are_in_one_split(query):
    normal = normalise(query)
    assert query_id(query) == query_id(normal) == query_id(f"  {query} ")


def test_the_shares_of_the_splits_are_as_asked():
    splits = [split_of(query_id(f"query {number}"), SECTION) for number in range(5_000)]
    shares = [round(splits.count(name) / 5_000, 2) for name in ("train", "validation", "test")]
    assert all(abs(share - wanted) < 0.03 for share, wanted in zip(shares, (0.7, 0.1, 0.2), strict=True))


@given(st.text(max_size=20))
def test_a_query_keeps_its_split_when_validation_grows(query):
    larger = SECTION.model_copy(update={"validation_percent": 20})
    if split_of(query, SECTION) == "test":
        assert split_of(query, larger) == "test"


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 9), min_size=1), st.floats(0, 50))
def test_sampled_queries_hold_the_wanted_rows_and_at_most_one_query_more(rows, wanted):
    held = sorted(rows[query] for query in sample_queries(rows, wanted, "seed"))
    assert sum(held) >= min(wanted, sum(rows.values()))
    assert sum(held) - max(held, default=0) < max(wanted, 1)


def test_another_day_replays_other_queries():
    rows = {str(number): 1 for number in range(100)}
    assert sample_queries(rows, 20, "2011-01-01") != sample_queries(rows, 20, "2011-01-02")


def test_head_torso_and_tail_are_thirds_of_the_searches():
    assert frequencies({"a": 50, "b": 20, "c": 15, "d": 10, "e": 5}) == {
        "a": "head",
        "b": "torso",
        "c": "tail",
        "d": "tail",
        "e": "tail",
    }


def test_the_histogram_counts_grades_by_their_nearest_whole():
    assert histogram([0, 0.4, 0.5, 2.7, 3]) == {"0": 2, "1": 1, "2": 0, "3": 2}
