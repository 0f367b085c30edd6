"""One line's days become the same histories and the same catalogue on each engine."""

import datasets
import pyarrow.parquet as pq
import pytest

from fakes.engines import duckdb_engine
from fakes.recommend_world import RecommendLine, act, cycling

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)


def made(folder, engine):
    odd = [act("u000", "A"), act("u000", "a"), act("u000", "a "), act(None, "a"), act("u001", "x", title=None)]
    again = [act("u002", "i02", kind="purchase", minute=30, category="hats"), act("", "shown", kind="impression")]
    days = [[*cycling(40, 0), *odd], [*cycling(40, 1), *again], [*cycling(40, 2)]]
    dataset = RecommendLine(folder).dataset(*days, engine=engine)
    splits = {name: [*datasets.load_from_disk(str(dataset / name))] for name in ("train", "validation", "test")}
    return splits, pq.read_table(dataset / "items.parquet").to_pylist()


def test_both_engines_make_the_same_histories_and_the_same_catalogue(tmp_path, spark_engine):
    here, there = (made(tmp_path / name, one) for name, one in (("here", duckdb_engine), ("there", spark_engine)))
    assert {name: len(rows) > 10 for name, rows in here[0].items()} == dict.fromkeys(here[0], True)
    assert here == there
