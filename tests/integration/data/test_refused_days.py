"""A refused day is told whole: its report, its quarantine and its Data Docs are kept, once; what was current stays."""

from functools import partial

import pyarrow.parquet as pq
import pytest

from fakes.deliveries import CSV_HEADER, day, write_csv, write_shop_day
from fakes.engines import duckdb_engine, full_engine
from fakes.reviewed_days import Shop
from recflow.artifacts.refs import RefKind
from recflow.data.pins import pin_source
from recflow.data.spec import VALIDATE_PARTITION
from recflow.data.validate import run
from recflow.engine import CannotCompute
from recflow.errors import BadData, PermanentError

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

GRADES = {"name": "half_are_good", "expectation": "expect_column_mean_to_be_between"}
GRADES["kwargs"] = {"column": "grade", "max_value": 1}


def pairs(count, *extra):
    return [*(f"{number},query {number},title {number},text,3,0" for number in range(count)), *extra]


def bad(count):
    return [f"b{number},query b{number},title,text,9,0" for number in range(count)]


def refused(shop, match="2011-01-01"):
    with pytest.raises(BadData, match=match) as raised:
        shop.build()
    return raised.value


KINDS = {
    "too_small": (pairs(10), {"min_rows": 50}, r"too small.*at least 50 rows, seen 10 rows"),
    "too_many_rows": (pairs(100), {}, r"10\.0 times the usual rows.*at most 5 times 10"),
    "duplicates": ([*pairs(70), *pairs(30)], {}, "repeats 30 of 100 rows"),
    "grade_of_another_type": (
        [line.replace(",3,0", ",good,0") for line in pairs(10)],
        {},
        "column grade of 2011-01-01 is of another type",
    ),
    "half_are_good": (pairs(20), {"checks": [GRADES]}, "fails half_are_good, a check of the whole day"),
    "too_many_bad_rows": (pairs(20, *bad(10)), {}, r"10 bad rows of 30.*at most 20%.*grade_0_to_3 10"),
    "systematic_loss": (pairs(180, *bad(20)), {}, r"loses 20 of 20 rows with grade 8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_refuses_a_day_that_was_read_leaves_report_quarantine_and_docs(tmp_path, engine, kind):
    rows, options, said = KINDS[kind]
    shop = Shop(tmp_path, engine=engine, **options)
    shop.usual = 10 if kind == "too_many_rows" else None
    write_csv(shop.folder, rows)
    error = refused(shop, said)
    assert "what was found is kept" in error.message
    assert "`recflow quarantine show search 2011-01-01`" in error.message
    found = shop.review()
    assert found.ref.kind is RefKind.REFUSAL
    assert kind in [refusal["name"] for refusal in found.report["refusals"]]
    assert found.report["rows_in"] == len(rows)
    assert found.report["checks"]
    assert (
        found.report["quarantined"] == pq.read_table(found.folder / "quarantine.parquet").num_rows == found.counts()[""]
    )
    assert not (found.folder / "rows.parquet").exists()
    index = (found.folder / "data_docs" / "index.html").read_text(encoding="utf-8")
    assert "Refused: 2011-01-01" in index
    assert list((found.folder / "data_docs").glob("validations/**/*.html"))
    assert shop.heads.current(day().label) is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "2011-01-01 is empty"),
        ({"1-test.csv": CSV_HEADER.replace("product_title,", "") + "\n1,q,d,3,0\n"}, "lacks the column product_title"),
        ({"1-test.csv": CSV_HEADER + "\n1,caf\xe9,t,d,3,0\n"}, r"1-test.csv is not UTF-8"),
    ],
    ids=["empty", "a column is missing", "another encoding"],
)
def test_a_day_that_cannot_be_read_leaves_the_reason(tmp_path, files, said):
    shop = Shop(tmp_path, "crowdflower" if files else "shop")
    if not files:
        write_shop_day(shop.folder, [])
    for name, text in files.items():
        shop.folder.mkdir(parents=True)
        (shop.folder / name).write_bytes(text.encode("latin-1"))
    refused(shop, said)
    found = shop.review()
    (told,) = found.report["refusals"]
    assert (told["name"], told["acceptable"]) == ("cannot_be_read", False)
    assert found.counts()[""] == 0
    assert list(found.rows()) == []
    assert "Refused: " in (found.folder / "data_docs" / "index.html").read_text(encoding="utf-8")


def test_all_that_refuses_a_day_is_told_at_once(tmp_path):
    shop = Shop(tmp_path, min_rows=500, checks=[GRADES])
    write_csv(shop.folder, [*pairs(60), *bad(30), *bad(30)])
    message = refused(shop).message
    names = {refusal["name"] for refusal in shop.review().report["refusals"]}
    assert names == {"too_small", "duplicates", "half_are_good", "too_many_bad_rows", "systematic_loss"}
    for said in ("too small", "repeats 30 of 120", "half_are_good", "30 bad rows of 90", "rows with grade 8"):
        assert said in message


def test_equal_refusals_are_kept_once(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *bad(10)))
    refused(shop)
    before = dict(shop.bench.store.objects)
    refused(shop, "what was found is kept")
    assert shop.bench.store.objects == before


def test_another_refusal_of_the_same_delivery_takes_the_place_of_the_first(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *bad(10)))
    refused(shop)
    shop.usual = 2
    refused(shop)
    names = [refusal["name"] for refusal in shop.review().report["refusals"]]
    assert names == ["too_many_rows", "too_many_bad_rows"]


def test_the_days_partition_stays_when_a_later_delivery_is_refused_and_a_good_one_supersedes_the_refusal(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20))
    first = shop.build()
    write_csv(shop.folder, pairs(20, *bad(10)))
    refused(shop)
    assert shop.heads.current(day().label).partition == first
    assert shop.review().ref.kind is RefKind.REFUSAL
    write_csv(shop.folder, pairs(21))
    assert shop.build() == shop.review().ref == shop.heads.current(day().label).partition


def test_a_full_store_does_not_hide_why_the_day_is_refused(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(20, *bad(10)))
    shop.bench.store.capacity = 2_000
    error = refused(shop, "10 bad rows of 30")
    assert "what was found could not be kept: search/refusals/" in error.message
    assert not [key for key in shop.bench.store.objects if key.endswith("manifest.json")]
    shop.bench.store.capacity = None
    refused(shop, "what was found is kept")
    assert shop.review().report["quarantined"] == 10


def test_a_full_disk_does_not_hide_why_the_day_is_refused_and_half_a_quarantine_is_not_kept(tmp_path):
    shop = Shop(tmp_path, engine=full_engine)
    write_csv(shop.folder, pairs(20, *bad(10)))
    refused(shop, "10 bad rows of 30")
    found = shop.review()
    assert "no space" in found.report["ended_early"]
    assert not (found.folder / "quarantine.parquet").exists()
    assert found.report["reasons"] == {"grade_0_to_3": 10}


def test_a_full_disk_is_no_refusal_of_a_good_day(tmp_path):
    shop = Shop(tmp_path, engine=full_engine)
    write_csv(shop.folder, pairs(20))
    with pytest.raises(CannotCompute, match="no space"):
        shop.build()
    assert shop.bench.store.objects == {}


def test_a_source_that_changed_after_it_was_pinned_is_no_refusal(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, pairs(10))

    source = pin_source(shop.recipe, day(), shop.folder)
    write_csv(shop.folder, pairs(11))
    with pytest.raises(PermanentError, match="changed after it was pinned"):
        shop.bench.run(VALIDATE_PARTITION, partial(run, engine=duckdb_engine), shop.recipe, source=source)
    assert shop.bench.store.objects == {}


def test_the_quarantine_and_the_docs_of_a_refused_day_are_masked(tmp_path, engine):
    shop = Shop(tmp_path, engine=engine)
    write_csv(shop.folder, pairs(20, *(f"b{n},mail ann@example.com,caf\ufffd,text,3,0" for n in range(10))))
    refused(shop, "10 bad rows of 30")
    found = shop.review()
    assert {row["query"] for row in found.rows()} == {"mail [email]"}
    for key, content in shop.bench.store.objects.items():
        assert b"ann@example.com" not in content, key


def test_an_example_of_a_column_of_another_type_is_masked(tmp_path):
    shop = Shop(tmp_path)
    write_csv(shop.folder, [line.replace(",3,0", ",ann@example.com,0") for line in pairs(10)])
    error = refused(shop, r"values such as '\[email\]'")
    assert "ann@" not in error.message
