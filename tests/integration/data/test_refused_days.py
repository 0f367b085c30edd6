"""Days that are refused before any row is judged: none of these needs Great Expectations."""

from functools import partial

import pytest

from fakes.deliveries import CSV_HEADER, day, recipe, write_csv, write_shop_day
from fakes.engines import duckdb_engine
from fakes.stage_bench import StageBench
from recflow.data.heads import HeadHistory
from recflow.data.pins import pin_source
from recflow.data.spec import VALIDATE_PARTITION
from recflow.data.validate import run
from recflow.errors import BadData, PermanentError


@pytest.fixture
def bench(tmp_path):
    return StageBench(tmp_path / "bench")


def validate(bench, folder, adapter="crowdflower", usual=None, **data):
    settings = recipe(adapter, str(folder), data=data)
    source = pin_source(settings, day(), folder, HeadHistory(bench.store, "search"))
    if usual:
        source = source.model_copy(update={"numbers": {"usual_rows": usual}})
    return bench.run(VALIDATE_PARTITION, partial(run, engine=duckdb_engine), settings, source=source)


def pairs(count):
    return [f"{number},query {number},title {number},text,3,0" for number in range(count)]


def test_an_empty_day_is_refused(bench, tmp_path):
    with pytest.raises(BadData, match="2011-01-01 is empty"):
        validate(bench, write_shop_day(tmp_path / "shop", []), "shop")


def test_a_missing_column_is_refused(bench, tmp_path):
    folder = write_csv(tmp_path / "pairs", ["1,q,d,3,0"], CSV_HEADER.replace("product_title,", ""))
    with pytest.raises(BadData, match="lacks the column product_title"):
        validate(bench, folder)


def test_a_column_of_another_type_is_refused(bench, tmp_path):
    folder = write_csv(tmp_path / "pairs", [line.replace(",3,0", ",good,0") for line in pairs(10)])
    with pytest.raises(BadData, match="column grade of 2011-01-01 is of another type"):
        validate(bench, folder)


def test_thirty_percent_duplicates_are_refused(bench, tmp_path):
    folder = write_csv(tmp_path / "pairs", [*pairs(70), *pairs(30)])
    with pytest.raises(BadData, match="repeats 30 of 100 rows"):
        validate(bench, folder)


def test_a_file_in_another_encoding_is_refused(bench, tmp_path):
    folder = write_csv(tmp_path / "pairs", pairs(10))
    (folder / "2-test.csv").write_bytes(CSV_HEADER.encode() + "\n1,café,t,d,3,0\n".encode("latin-1"))
    with pytest.raises(BadData, match=r"2-test.csv is not UTF-8"):
        validate(bench, folder)


def test_ten_times_the_usual_rows_are_refused(bench, tmp_path):
    with pytest.raises(BadData, match=r"10\.0 times the usual rows.*at most 5 times 10"):
        validate(bench, write_csv(tmp_path / "pairs", pairs(100)), usual=10)


def test_a_handful_of_rows_is_not_a_day(bench, tmp_path):
    with pytest.raises(BadData, match=r"too small.*at least 50 rows, seen 10 rows"):
        validate(bench, write_csv(tmp_path / "pairs", pairs(10)), min_rows=50)


def test_a_source_that_changed_after_it_was_pinned_is_not_read(bench, tmp_path):
    folder = write_csv(tmp_path / "pairs", pairs(10))
    settings = recipe("crowdflower", str(folder))
    source = pin_source(settings, day(), folder, HeadHistory(bench.store, "search"))
    write_csv(folder, pairs(11))
    with pytest.raises(PermanentError, match="changed after it was pinned"):
        bench.run(VALIDATE_PARTITION, partial(run, engine=duckdb_engine), settings, source=source)


def test_a_refused_day_publishes_nothing(bench, tmp_path):
    with pytest.raises(BadData):
        validate(bench, write_shop_day(tmp_path / "shop", []), "shop")
    assert bench.store.objects == {}
