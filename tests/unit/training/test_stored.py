from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recflow.training.batches import TokenisedQuery
from recflow.training.stored import store_queries

TEXTS = st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple)


@st.composite
def queries(draw, views):
    items = draw(st.integers(1, 4))
    texts = tuple(tuple(draw(TEXTS) for _ in range(items)) for _ in range(views))
    numbers = (draw(st.lists(st.floats(-9, 9, width=32), min_size=items, max_size=items)) for _ in range(3))
    return TokenisedQuery(draw(TEXTS), texts, *(np.array(column, dtype=np.float32) for column in numbers))


def same(one, other):
    vectors = ("grades", "weights", "offset")
    return (one.query, one.views) == (other.query, other.views) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in vectors
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3).flatmap(lambda views: st.tuples(st.just(views), st.lists(queries(views), max_size=5))))
def test_any_queries_come_back_as_they_were(given_queries):
    views, written = given_queries
    with TemporaryDirectory() as folder:
        stored = store_queries(iter(written), Path(folder) / "queries", views=views)
        assert len(stored) == len(written)
        assert all(same(one, other) for one, other in zip(stored, written, strict=True))
        assert all(same(one, other) for one, other in zip(stored[1::2], written[1::2], strict=True))


def test_a_place_beyond_the_last_is_refused(tmp_path):
    with pytest.raises(IndexError):
        store_queries([], tmp_path / "queries", views=1)[0]
