import json
from collections import Counter
from datetime import datetime, timedelta
from functools import partial

import datasets
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.deliveries import day, impression, judgement, partition_file, recipe
from fakes.engines import duckdb_engine, leaking_engine
from fakes.stage_bench import StageBench
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.data.build import run
from recflow.data.spec import BUILD_DATASET, VALIDATE_PARTITION
from recflow.data.split import split_of
from recflow.domain.judged import read_judged
from recflow.domain.lexical import words
from recflow.domain.queries import query_id
from recflow.errors import BadData, PermanentError
from recflow.stages import stage_key
from recflow.storage import list_files
from recflow.tasks.relevance.task import TASK

QUERIES = [f"query {number}" for number in range(60)]


class Loop:
    """Partitions of judged pairs, and the data sets that are built of them."""

    def __init__(self, root):
        self.bench, self.root = StageBench(root / "bench"), root

    def partition(self, number, rows):
        key = f"partition-{number}-{len([*self.root.glob('partition-*')])}"
        folder = self.root / key
        folder.mkdir(parents=True)
        partition_file(folder / "rows.parquet", rows)
        manifest = Manifest(
            kind=RefKind.PARTITION,
            recipe="search",
            stage="validate_partition",
            stage_version=1,
            key=key,
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

    def made(self, days, *, number=0, trained_through=None, engine=duckdb_engine, labels=None, **split):
        """The folder of the data set."""
        refs = tuple(self.partition(n, rows) for n, rows in days.items())
        parent = self.bench.parent(Parent(trained_through=trained_through))
        inputs = {"parent": (parent,), "partitions": refs}
        ref = self.bench.runner.run(
            BUILD_DATASET,
            partial(run, engine=engine, task=TASK),
            recipe(split=split, labels=labels or {}),
            day(number),
            inputs,
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


@settings(max_examples=5, deadline=None)
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


NEGATIVES = {"negatives": {"random": 3, "popular": 2, "bm25": 2}}


class TestNegatives:
    def test_those_that_learn_have_them_and_those_that_judge_have_none(self, loop):
        rows = [row | {"title": f"{'query ' * (1 + 2 * (row['grade'] > '0'))}{row['item_id']}"} for row in judged()]
        dataset, report = loop.build({0: rows}, labels=NEGATIVES)
        assert set(dataset["test"]["negative"]) == {""}
        for name in ("train", "validation"):
            taken = [row for row in dataset[name] if row["negative"]]
            assert {row["grade"] for row in taken} == {0.0}
            assert Counter(row["negative"] for row in taken) == Counter(report["negatives"][name])
        assert min(report["negatives"]["train"].values()) > 0
        assert report["negatives"]["test"] == {"bm25": 0, "popular": 0, "random": 0}

    def test_labelled_rows_are_what_they_are_without_them(self, tmp_path):
        without, _ = Loop(tmp_path / "a").build({0: judged()})
        with_them, _ = Loop(tmp_path / "b").build({0: judged()}, labels=NEGATIVES)
        for name in without:
            assert [row for row in with_them[name] if not row["negative"]] == list(without[name])

    def test_a_recipe_without_them_has_the_keys_that_it_had_before_there_were_any(self):
        sections = recipe().labels.model_dump(mode="json")
        assert set(sections) == {"attribution_minutes", "position_bias_eta", "min_examined"}
        inputs = {"parent": (), "partitions": (), "source": ()}
        plain, named = (recipe(labels=labels) for labels in ({}, {"negatives": {}}))
        asking = recipe(labels=NEGATIVES)
        assert stage_key(BUILD_DATASET, plain, day(), inputs) == stage_key(BUILD_DATASET, named, day(), inputs)
        assert stage_key(BUILD_DATASET, plain, day(), inputs) != stage_key(BUILD_DATASET, asking, day(), inputs)
        assert stage_key(VALIDATE_PARTITION, plain, day(), inputs) == stage_key(
            VALIDATE_PARTITION, asking, day(), inputs
        )


class TestWhatFloorsAreMadeOf:
    def test_words_are_counted_over_the_titles_that_train_negatives_aside(self, loop):
        rows = [row | {"title": f"red shoe {row['item_id']} shoes"} for row in judged()]
        folder = loop.made({0: rows}, labels=NEGATIVES)
        train = datasets.load_from_disk(folder)["train"]
        documents = [words(row["title"]) for row in train if not row["negative"]]
        counted = pq.read_table(folder / "words.parquet").to_pydict()
        found = Counter(word for document in documents for word in set(document))
        assert dict(zip(counted["word"], counted["titles"], strict=True)) == found
        told = json.loads((folder / "titles.json").read_text())
        mean = sum(map(len, documents)) / len(documents)
        assert told == {"number": len(documents), "mean_words": pytest.approx(mean)}

    def test_an_item_is_as_popular_as_queries_that_train_make_it(self, loop):
        folder = loop.made({0: judged()})
        counted = pq.read_table(folder / "popularity.parquet").to_pydict()
        section = recipe().split
        train = {f"i{2 * n + i}": i for n, query in enumerate(QUERIES) for i in range(2)
                 if split_of(query_id(query), section) == "train"}  # fmt: skip
        assert set(counted["item_id"]) <= set(train)
        assert set(counted["acts"]) <= {1}
        assert len(counted["acts"]) == sum(grade >= 2 for grade in train.values())


def searches(midnight, minutes, query, *, clicked_on=None):
    """Eight searches that show one item, `minutes` after a midnight, and clicks on it ten minutes later by day."""
    shown_at = day(midnight).start + timedelta(minutes=minutes)
    days = {number: [] for number in range(midnight + 1)}
    for number in range(8):
        row = impression(
            1,
            query=query,
            event_id=f"{query}-{number}",
            request_id=f"{query}-{number}",
            at=shown_at.isoformat(),
            position="1",
        )
        acted = row | {"kind": "click", "event_id": f"{row['event_id']}-c"}
        days[midnight - (minutes < 0)].append(row)
        days[clicked_on].append(acted | {"at": (shown_at + timedelta(minutes=10)).isoformat()})
    return days


class TestTheEdgeOfTheDay:
    """Searches five minutes before midnight, clicked five minutes after it: filed by a shop with the day after."""

    asked = next(query for query in QUERIES if split_of(query_id(query), recipe().split) == "train")

    def days(self, clicked_on=1):
        late = searches(1, -5, self.asked, clicked_on=clicked_on)
        return {n: judged([q for q in QUERIES if q != self.asked], start=1000 * n) + late[n] for n in (0, 1)}

    def grades(self, dataset):
        return [row["grade"] for row in dataset["train"] if row["query"] == self.asked]

    def test_on_its_own_day_a_search_that_may_still_be_clicked_has_no_label(self, loop):
        dataset, _ = loop.build({0: self.days()[0]})
        assert self.grades(dataset) == []

    @pytest.mark.parametrize("clicked_on", [0, 1])
    def test_the_next_day_labels_it_with_clicks_of_either_day(self, loop, clicked_on):
        dataset, report = loop.build(self.days(clicked_on), number=1, trained_through=day(0).end, replay_share=0)
        assert report["days"] == [day(1).label]
        assert self.grades(dataset) == [3.0]

    def test_days_that_are_labelled_together_label_it_once(self, loop):
        dataset, _ = loop.build(self.days(), number=1)
        assert self.grades(dataset) == [3.0]

    def test_a_search_whose_time_is_over_is_its_own_days(self, loop):
        late = searches(1, -45, self.asked, clicked_on=0)
        rest = judged([q for q in QUERIES if q != self.asked])
        dataset, _ = loop.build({0: rest + late[0]})
        assert self.grades(dataset) == [3.0]
        dataset, _ = loop.build({0: rest + late[0], 1: rest}, number=1, trained_through=day(0).end, replay_share=0)
        assert self.grades(dataset) == []

    def test_a_day_of_searches_that_may_all_be_clicked_yet_says_what_it_waits_for(self, loop):
        late = searches(1, -5, self.asked, clicked_on=1)
        with pytest.raises(BadData, match="attribution_minutes are over"):
            loop.build({0: late[0]})


class TestLeaks:
    def test_a_query_on_two_sides_is_refused_where_the_data_set_is_made(self, loop):
        train = next(row for row in judged() if split_of(query_id(row["query"]), recipe().split) == "train")
        with pytest.raises(PermanentError, match="has queries in two splits") as refused:
            loop.build({0: judged()}, engine=partial(leaking_engine, item=train["item_id"]))
        assert train["query"] not in str(refused.value)

    def test_the_same_items_on_one_side_are_not(self, loop):
        assert loop.build({0: judged()}, engine=partial(leaking_engine, item="nobody's"))

    def test_a_partition_of_the_future_is_refused(self, loop):
        with pytest.raises(PermanentError, match=f"given the partition of {day(1).label}"):
            loop.build({0: judged(), 1: judged(start=1000)}, number=0)

    @pytest.mark.parametrize("row", [judgement(1, query=QUERIES[0]), impression(1, query=QUERIES[0])])
    def test_a_row_of_the_future_in_a_partition_of_today_is_refused(self, loop, row):
        late = row | {"event_id": "late", "at": (day(1).start + timedelta(seconds=1)).isoformat()}
        with pytest.raises(PermanentError, match="has rows of the future"):
            loop.build({0: [*judged(), late]})

    def test_a_click_is_of_the_future_once_the_time_for_acts_is_over(self, loop):
        shown = impression(1, query=QUERIES[0], at=(day(1).start - timedelta(minutes=1)).isoformat())
        for minutes, refused in ((25, False), (31, True)):
            acted = shown | {"kind": "click", "at": (day(1).start + timedelta(minutes=minutes)).isoformat()}
            rows = {0: [*judged(), shown, acted]}
            if refused:
                with pytest.raises(PermanentError, match="has rows of the future"):
                    loop.build(rows)
            else:
                assert loop.build(rows)
