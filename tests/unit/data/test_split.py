from hypothesis import given
from hypothesis import strategies as st

from recflow.config.sections.data import SplitSection
from recflow.data.split import split_of
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
