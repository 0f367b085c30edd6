"""The real judged pairs, from CSV files to a training set; counts as in the data set's SOURCE.md."""

import json
from datetime import date
from functools import partial

import datasets
import pyarrow.parquet as pq
import pytest

from fakes.deliveries import Read, day
from fakes.engines import duckdb_engine
from fakes.stage_bench import StageBench
from recflow.config.recipe import Recipe
from recflow.data.build import run as build
from recflow.data.heads import HeadHistory
from recflow.data.pins import pin_partitions, pin_source
from recflow.data.sample.shuffle import shuffle_grades
from recflow.data.spec import BUILD_DATASET, VALIDATE_PARTITION
from recflow.data.validate import run as validate
from recflow.tasks.relevance.task import TASK

DAYS = 3


@pytest.fixture(scope="module")
def recipe(crowdflower_folder):
    source = {"adapter": "crowdflower", "path": str(crowdflower_folder), "days": DAYS}
    return Recipe.model_validate({"name": "search", "owner": "tests", "data": {"source": source}})


@pytest.fixture(scope="module")
def loop(recipe, crowdflower_folder, tmp_path_factory):
    """All days validated and recorded as heads."""
    bench = StageBench(tmp_path_factory.mktemp("crowdflower"))
    heads = HeadHistory(bench.store, "search")
    for number in range(DAYS):
        source = pin_source(recipe, day(number), crowdflower_folder)
        stage = partial(validate, engine=duckdb_engine)
        ref = bench.run(VALIDATE_PARTITION, stage, recipe, day=number, source=source)
        heads.record(day(number), ref, at=bench.clock.now())
    return bench, heads


def test_every_row_has_a_day_and_none_is_quarantined(loop):
    _, heads = loop
    numbers = [heads.current(day(number).label).partition.numbers for number in range(DAYS)]
    assert sum(n["rows_in"] for n in numbers) == 6_092
    assert sum(n["rows"] + n["duplicates"] for n in numbers) == 6_092
    assert sum(n["quarantined"] for n in numbers) == 0


def test_the_report_says_that_the_days_are_made_up(loop):
    bench, heads = loop
    folder = bench.artifacts.fetch(heads.current(day().label).partition)
    assert "no date" in json.loads((folder / "validation.json").read_text())["note"]


def test_the_days_share_261_queries_and_their_texts_have_no_markup(loop):
    bench, heads = loop
    tables = [
        pq.read_table(bench.artifacts.fetch(heads.current(day(n).label).partition) / "rows.parquet")
        for n in range(DAYS)
    ]
    assert len({query for table in tables for query in table["query"].to_pylist()}) == 261
    assert not any("<br" in (text or "") for table in tables for text in table["description"].to_pylist())


def test_the_days_become_a_training_set_without_a_leak(loop, recipe):
    bench, heads = loop
    partitions = pin_partitions(recipe, day(DAYS - 1), None, heads)
    inputs = {"parent": (bench.parent(),), "partitions": partitions}
    ref = bench.runner.run(
        BUILD_DATASET, partial(build, engine=duckdb_engine, task=TASK), recipe, day(DAYS - 1), inputs
    )
    dataset = datasets.load_from_disk(bench.artifacts.fetch(ref))
    queries = {name: set(rows["query_id"]) for name, rows in dataset.items()}
    assert sum(map(len, queries.values())) == len(set().union(*queries.values())) == 261
    assert 35 <= len(queries["test"]) <= 65
    assert set(dataset["train"].features) >= {"query", "title", "description", "grade", "weight", "frequency"}


def test_a_day_of_shuffled_grades_passes_for_a_normal_one_and_leaves_other_days_alone(
    recipe, crowdflower_folder, tmp_path
):
    changed = shuffle_grades(crowdflower_folder, tmp_path, date(2011, 1, 2), recipe.data.source, recipe.split)
    real, spoilt = (Read(recipe, folder) for folder in (crowdflower_folder, tmp_path))
    assert changed > 300
    assert [real.fingerprint(day(n)) == spoilt.fingerprint(day(n)) for n in range(DAYS)] == [True, False, True]
    assert sorted(real.rows(day(1))["grade"].to_pylist()) == sorted(spoilt.rows(day(1))["grade"].to_pylist())
