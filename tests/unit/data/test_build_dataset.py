import json
from datetime import datetime
from functools import partial

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.deliveries import day, judgement, partition_file, recipe
from fakes.engines import duckdb_engine
from fakes.stage_bench import StageBench
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.data.build import run
from recflow.data.spec import BUILD_DATASET
from recflow.data.split import split_of
from recflow.domain.judged import read_judged
from recflow.domain.queries import query_id
from recflow.errors import BadData
from recflow.storage import list_files

QUERIES = [f"query {number}" for number in range(60)]


class Loop:
    """Partitions of judged pairs, and the data sets that are built of them."""

    def __init__(self, root):
        self.bench, self.root = StageBench(root / "bench"), root

    def partition(self, number, rows):
        folder = self.root / f"partition-{number}"
        folder.mkdir(parents=True)
        partition_file(folder / "rows.parquet", rows)
        manifest = Manifest(
            kind=RefKind.PARTITION,
            recipe="search",
            stage="validate_partition",
            stage_version=1,
            key=f"p{number}",
            attempt="only",
            interval=day(number),
            inputs={},
            files=list_files(folder),
            numbers={},
            reusable=True,
            created_at=datetime.fromisoformat("2011-01-02T00:00:00+00:00"),
        )
        return self.bench.artifacts.publish(manifest, folder)

    def build(self, days, **options):
        """The data set and its report, of partitions given by day number."""
        folder = self.made(days, **options)
        return datasets.load_from_disk(folder), json.loads((folder / "dataset.json").read_text())

    def made(self, days, *, number=0, trained_through=None, **split):
        """The folder of the data set."""
        refs = tuple(self.partition(n, rows) for n, rows in days.items())
        parent = self.bench.parent(Parent(trained_through=trained_through))
        inputs = {"parent": (parent,), "partitions": refs}
        ref = self.bench.runner.run(
            BUILD_DATASET, partial(run, engine=duckdb_engine), recipe(split=split), day(number), inputs
        )
        return self.bench.artifacts.fetch(ref)


@pytest.fixture
def loop(tmp_path):
    return Loop(tmp_path)


def judged(queries=QUERIES, items=2, start=0, **changes):
    return [
        judgement(start + n * items + i, query=query, grade=str(i % 4), **changes)
        for n, query in enumerate(queries)
        for i in range(items)
    ]


def queries_of(split):
    return set(split["query_id"])


def test_every_query_is_in_the_split_of_its_hash(loop):
    dataset, _ = loop.build({0: judged()})
    section = recipe().split
    for name in ("train", "validation", "test"):
        assert {split_of(query, section) for query in queries_of(dataset[name])} == {name}


@settings(max_examples=8, deadline=None)
@given(
    days=st.lists(st.lists(st.sampled_from([*QUERIES, "QUERY 1", " query  2 "]), min_size=25), min_size=1, max_size=4),
    seen=st.integers(0, 3),
    replay=st.floats(0, 2),
)
def test_no_query_and_no_spelling_of_it_is_in_two_splits(tmp_path_factory, days, seen, replay):
    loop = Loop(tmp_path_factory.mktemp("leak"))
    partitions = {n: judged([*QUERIES, *queries], start=1000 * n) for n, queries in enumerate(days)}
    last = len(days) - 1
    dataset, _ = loop.build(
        partitions, number=last, trained_through=day(min(seen, last)).start, evaluation_days=2, replay_share=replay
    )
    train, validation, test = (queries_of(dataset[name]) for name in ("train", "validation", "test"))
    assert not train & validation
    assert not (train | validation) & test


def test_new_days_train_whole_and_older_ones_are_replayed_in_part(loop):
    days = {n: judged(start=1000 * n) for n in range(3)}
    dataset, report = loop.build(days, number=2, trained_through=day(1).end, replay_share=0.5)
    learned = [*dataset["train"]["day"], *dataset["validation"]["day"]]
    new = learned.count(day(2).label)
    assert report["days"] == [day(2).label]
    assert 0.5 * new <= len(learned) - new == report["replay_rows"] <= 0.5 * new + 4


def test_a_pair_that_is_judged_anew_is_not_replayed_with_its_old_grade(loop):
    days = {0: judged(), 1: [row | {"grade": "3"} for row in judged()]}
    dataset, _ = loop.build(days, number=1, trained_through=day(0).end, replay_share=5)
    assert set(dataset["train"]["grade"]) == {3.0}


def test_test_rows_come_from_the_evaluation_window_only(loop):
    days = {n: judged(start=1000 * n) for n in range(4)}
    dataset, report = loop.build(days, number=3, evaluation_days=2)
    assert set(dataset["test"]["day"]) == {day(2).label, day(3).label}
    assert report["evaluation_days"] == [day(2).label, day(3).label]


def test_a_rerun_of_a_day_that_the_parent_has_seen_trains_on_that_day(loop):
    days = {n: judged(start=1000 * n) for n in range(2)}
    _, report = loop.build(days, number=1, trained_through=day(5).end)
    assert report["days"] == [day(1).label]


def test_frequent_queries_are_the_head_of_the_test_rows(loop):
    held_out = [query for query in QUERIES if split_of(query_id(query), recipe().split) == "test"]
    rows = judged() + judged([held_out[0]], items=40, start=5000)
    dataset, _ = loop.build({0: rows})
    assert {row["query"] for row in dataset["test"] if row["frequency"] == "head"} == {held_out[0]}


def test_equal_inputs_give_equal_rows(tmp_path):
    first, second = (Loop(tmp_path / name).build({0: judged()})[0] for name in ("a", "b"))
    assert first["train"].to_dict() == second["train"].to_dict()


def test_the_report_counts_rows_queries_and_grades(loop):
    dataset, report = loop.build({0: judged()})
    assert report["rows"] == {name: len(dataset[name]) for name in dataset}
    assert report["queries"]["test"] == len(queries_of(dataset["test"]))
    assert sum(report["grades"]["train"].values()) == report["rows"]["train"]


def test_partitions_without_anything_to_learn_are_bad_data(loop):
    held_out = [query for query in QUERIES if split_of(query_id(query), recipe().split) == "test"]
    with pytest.raises(BadData, match="gives no train rows"):
        loop.build({0: judged(held_out)})


def test_partitions_without_anything_to_judge_by_are_bad_data(loop):
    learned = [query for query in QUERIES if split_of(query_id(query), recipe().split) != "test"]
    with pytest.raises(BadData, match="gives no test rows"):
        loop.build({0: judged(learned)})


def test_partitions_without_a_validation_query_still_make_a_data_set(loop):
    kept = [query for query in QUERIES if split_of(query_id(query), recipe().split) != "validation"]
    folder = loop.made({0: judged(kept)})
    assert read_judged(folder, "train")
    assert read_judged(folder, "validation", required=False) == []
