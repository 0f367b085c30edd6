"""The real Great Expectations on small days."""

import json
import math
from functools import partial
from tempfile import gettempdir

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.deliveries import day, recipe, write_csv, write_shop_day
from fakes.engines import duckdb_engine, losing_engine
from fakes.stage_bench import StageBench
from recflow.config.sections.data import LabelSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.data.pins import pin_source
from recflow.data.rows import PARTITION
from recflow.data.sample.shop import SampleShop, write_shop
from recflow.data.spec import VALIDATE_PARTITION
from recflow.data.validate import run
from recflow.errors import BadConfiguration, BadData, JudgeFailed, PermanentError
from recflow.tasks.relevance.labels import label_pairs, read_events

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

EVENT = {
    "at": "2011-01-01T10:00:00+00:00",
    "kind": "impression",
    "user_key": "u1",
    "query": "shoe",
    "item_id": "i1",
    "position": 1,
}


class Result:
    """A published partition, opened."""

    def __init__(self, bench, ref):
        self.ref, self.folder = ref, bench.artifacts.fetch(ref)
        self.report = json.loads((self.folder / "validation.json").read_text())
        self.rows = pq.read_table(self.folder / "rows.parquet")
        self.quarantine = pq.read_table(self.folder / "quarantine.parquet").to_pylist()

    def reasons(self):
        return {row["event_id"]: set(row["reasons"]) for row in self.quarantine}

    def broken(self):
        return {check["name"]: check["broken"] for check in self.report["checks"] if check["broken"]}


@pytest.fixture
def bench(tmp_path):
    return StageBench(tmp_path / "bench")


def validate(bench, folder, adapter="crowdflower", number=0, outcomes=None, engine=duckdb_engine, **data):
    settings = recipe(adapter, str(folder), data=data, **({"outcomes": outcomes} if outcomes else {}))
    source = pin_source(settings, day(number), folder)
    return Result(
        bench, bench.run(VALIDATE_PARTITION, partial(run, engine=engine), settings, day=number, source=source)
    )


def pairs(count, *extra):
    return [*(f"{number},query {number},title {number},text,3,0" for number in range(count)), *extra]


def test_a_bad_row_is_quarantined_as_delivered_with_all_its_reasons(bench, tmp_path, engine):
    folder = write_csv(tmp_path / "pairs", pairs(20, "bad,<b> </b>,caf\ufffd,text,9,0"))
    result = validate(bench, folder, engine=engine)
    assert result.reasons() == {"bad": {"query_present", "title_undamaged", "grade_0_to_3"}}
    assert result.quarantine[0]["query"] == "<b> </b>"
    assert result.rows.num_rows == 20


def test_kept_rows_have_the_partitions_schema(bench, tmp_path, engine):
    schema = validate(bench, write_csv(tmp_path / "pairs", pairs(20)), engine=engine).rows.schema
    assert dict(zip(schema.names, schema.types, strict=True)) == dict(
        zip(PARTITION.names, PARTITION.types, strict=True)
    )


def test_an_empty_day_passes_no_check(bench, tmp_path, engine):
    with pytest.raises(BadData, match="2011-01-01 is empty"):
        validate(bench, write_shop_day(tmp_path / "shop", []), "shop", engine=engine)


def test_a_number_that_is_none_in_a_parquet_file_hides_from_no_check(bench, tmp_path, engine):
    """Bounds in a Parquet file's statistics leave NaN out, and engines skip what such bounds exclude."""
    columns = {"event_id": pa.array("abcd"), "item_id": pa.array("wxyz"), "title": pa.array("wxyz")}
    values = pa.array([1.0, float("nan"), -2.0, 4.0])
    rows = pa.table({**columns, "value": values})
    pq.write_table(rows, tmp_path / "2011-01-01.parquet", write_statistics=True)
    bounds = pq.read_metadata(tmp_path / "2011-01-01.parquet").row_group(0).column(3).statistics
    assert (bounds.min, bounds.max) == (-2, 4)
    told = {**{name: name for name in rows.column_names}, "at": {"day_start": True}, "kind": {"constant": "buy"}}
    events = [{"files": ["{date:%Y-%m-%d}.parquet"], "columns": told}]
    source = {"adapter": "tables", "path": str(tmp_path), "events": events}
    result = validate(
        bench, tmp_path, "tables", source=source, other_kinds=["buy"], max_quarantined_share=0.5, engine=engine
    )
    assert result.reasons() == {"c": {"value_not_negative"}}
    assert sorted(result.rows["value"].to_pylist()) == [0, 1, 4]


def test_a_warning_is_counted_and_its_row_kept(bench, tmp_path, engine):
    result = validate(bench, write_csv(tmp_path / "pairs", pairs(20, "77,query,title,,3,0")), engine=engine)
    assert result.ref.numbers["warnings"] == result.broken()["description_present"] == 1
    assert (result.rows.num_rows, result.quarantine) == (21, [])


def test_data_docs_show_the_check_that_failed_and_work_from_any_folder(bench, tmp_path):
    docs = validate(bench, write_csv(tmp_path / "pairs", pairs(20, "bad,q,t,d,9,0"))).folder / "data_docs"
    (page,) = docs.glob("validations/**/*.html")
    text = page.read_text(encoding="utf-8")
    assert "grade" in text
    assert "Failed" in text
    pages = [path.read_text(encoding="utf-8") for path in docs.rglob("*.html")]
    assert (docs / "index.html").exists()
    assert not any(str(tmp_path) in text or gettempdir() + "/" in text for text in pages)


def test_the_recipes_own_checks_are_judged_beside_the_built_in_ones(bench, tmp_path):
    rules = [
        {
            "name": "no_refills",
            "expectation": "expect_column_values_to_not_match_regex",
            "kwargs": {"column": "title", "regex": "refill"},
        },
        {
            "name": "short_titles",
            "expectation": "expect_column_value_lengths_to_be_between",
            "kwargs": {"column": "title", "max_value": 10},
            "severity": "warning",
        },
    ]
    folder = write_csv(tmp_path / "pairs", pairs(20, "bad,q,refill for a pen,d,3,0"))
    result = validate(bench, folder, checks=rules)
    assert result.reasons() == {"bad": {"no_refills"}}
    assert result.broken()["short_titles"] == 1


def test_a_row_without_a_kind_and_a_place_that_cannot_be_are_quarantined(bench, tmp_path):
    rows = [{**EVENT, "event_id": f"e{number}", "request_id": f"r{number}"} for number in range(1, 21)]
    rows[0]["kind"], rows[1]["position"] = None, 4294967295
    result = validate(bench, write_shop_day(tmp_path / "shop", rows), "shop")
    assert result.reasons() == {"e1": {"kind_present"}, "e2": {"position_from_1"}}


def searched(*acts):
    """Twenty searches e0 … e19 of a person each, and acts a0 … on the first of them, with what they differ in."""
    rows = [
        {**EVENT, "event_id": f"e{n}", "request_id": f"r{n}", "user_key": f"u{n}", "query": "lamp"} for n in range(20)
    ]
    return rows + [{**rows[n], "kind": "purchase", "event_id": f"a{n}", **act} for n, act in enumerate(acts)]


ACTS = [
    ({"value": 100_000}, ""),
    ({"value": 100_001}, "purchase_value_at_most"),
    ({"value": 1e308}, "purchase_value_at_most"),
    ({"value": "1e999"}, "value_is_a_number"),
    ({"value": float("nan")}, "value_is_a_number"),
    ({"value": -1}, "value_not_negative"),
    ({"kind": "click", "value": 9.5}, ""),
    ({"kind": "click", "value": 1e308}, "value_within_reach"),
    ({"kind": "like"}, "kind_known"),
    ({"at": "2010-12-31T23:58:00+00:00"}, ""),
    ({"at": "2010-12-31T23:57:59+00:00"}, "outcome_at_inside_interval"),
    ({"at": "2011-01-02T00:30:00+00:00"}, ""),
    ({"at": "2011-01-02T00:30:01+00:00"}, "outcome_at_inside_interval"),
    ({"item_id": "i2"}, "outcome_was_shown"),
]


def test_an_act_that_cannot_be_is_quarantined_and_one_that_can_is_kept(bench, tmp_path, engine):
    folder = write_shop_day(tmp_path / "shop", searched(*(act for act, _ in ACTS)))
    result = validate(bench, folder, "shop", max_quarantined_share=0.5, engine=engine)
    assert result.reasons() == {f"a{n}": {reason} for n, (_, reason) in enumerate(ACTS) if reason}
    assert all(math.isfinite(value) for value in result.rows["value"].to_pylist())


def test_a_value_where_none_belongs_is_told_and_its_row_kept(bench, tmp_path):
    result = validate(bench, write_shop_day(tmp_path / "shop", searched({"kind": "click", "value": 9.5})), "shop")
    assert result.broken() == {"value_where_one_belongs": 1}


def test_a_line_that_names_other_outcomes_is_validated_and_labelled_by_them(bench, tmp_path, engine):
    library = {
        "kinds": [
            {"name": "view", "strength": 1},
            {"name": "save", "strength": 3, "max_value": 5},
            {"name": "return", "strength": 0},
        ],
        "metrics": [
            {"name": "ctr", "kind": "view"},
            {"name": "return_rate", "kind": "return", "better": "less"},
        ],
    }
    acts = [{"kind": "view"}] * 4 + [{"kind": "save", "value": 5}, {"kind": "save", "value": 6}]
    others = [{"kind": "return"}] * 3 + [{"kind": "cart"}, {"kind": "purchase"}]
    result = validate(
        bench, write_shop_day(tmp_path / "shop", searched(*acts, *others)), "shop", outcomes=library, engine=engine
    )
    assert result.reasons() == {"a5": {"save_value_at_most"}, "a9": {"kind_known"}, "a10": {"kind_known"}}
    assert set(result.rows["kind"].to_pylist()) == {"impression", "view", "save", "return"}
    rows = [(day().label, result.folder / "rows.parquet")]
    outcomes = OutcomesSection.model_validate(library)
    with engine(tmp_path) as opened:
        (label,) = opened.fetch(label_pairs(opened, read_events(opened, rows), LabelSection(), outcomes)[0]).to_pylist()
    assert label["grade"] == 2  # (4 views + 3 for one save) / 20 = 0.35


def test_two_checks_of_one_name_are_refused(bench, tmp_path):
    rule = {
        "name": "query_present",
        "expectation": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "query"},
    }
    with pytest.raises(BadConfiguration, match=r"share a name.*query_present"):
        validate(bench, write_csv(tmp_path / "pairs", pairs(20)), checks=[rule])


def test_a_blocking_check_of_the_whole_day_refuses_the_day(bench, tmp_path):
    rule = {
        "name": "half_are_good",
        "expectation": "expect_column_mean_to_be_between",
        "kwargs": {"column": "grade", "max_value": 1},
    }
    with pytest.raises(BadData, match="fails half_are_good, a check of the whole day"):
        validate(bench, write_csv(tmp_path / "pairs", pairs(20)), checks=[rule])


def test_too_many_bad_rows_are_a_broken_feed(bench, tmp_path):
    bad = [f"b{number},q,t{number},d,9,0" for number in range(10)]
    with pytest.raises(BadData, match=r"10 bad rows of 30.*at most 20%.*grade_0_to_3 10"):
        validate(bench, write_csv(tmp_path / "pairs", pairs(20, *bad)))


def test_a_check_that_cannot_be_evaluated_is_no_bad_data(bench, tmp_path):
    rule = {
        "name": "broken",
        "expectation": "expect_column_values_to_be_between",
        "kwargs": {"column": "title", "min_value": 3},
    }
    with pytest.raises(JudgeFailed, match=r"check broken .* could not be evaluated") as raised:
        validate(bench, write_csv(tmp_path / "pairs", pairs(20)), checks=[rule])
    assert not isinstance(raised.value, BadData)


@pytest.mark.parametrize(
    "rule",
    [
        {"expectation": "expect_magic", "kwargs": {"column": "title"}},
        {"expectation": "expect_column_values_to_not_be_null", "kwargs": {"column": "titel"}},
        {"expectation": "expect_column_values_to_not_be_null", "kwargs": {"column": "title", "colour": "red"}},
    ],
)
def test_a_check_that_cannot_be_stated_is_a_configuration_error(bench, tmp_path, rule):
    with pytest.raises(BadConfiguration, match="check odd cannot be stated"):
        validate(bench, write_csv(tmp_path / "pairs", pairs(20)), checks=[{"name": "odd", **rule}])


def test_a_search_by_a_program_is_quarantined_and_a_persons_is_kept(bench, tmp_path, engine):
    def search(user, number):
        event = {"event_id": f"{user}{number}", "request_id": f"{user}{number}", "user_key": user, "item_id": "i1"}
        at = f"2011-01-01T10:00:{number:02d}+00:00"
        return {**event, "at": at, "kind": "impression", "query": f"shoe {number}", "position": 1}

    events = [*(search("person", n) for n in range(20)), *(search("bot", n) for n in range(21))]
    folder = write_shop_day(tmp_path / "shop", events)
    result = validate(bench, folder, "shop", max_quarantined_share=0.9, engine=engine)
    assert {tuple(reasons) for reasons in result.reasons().values()} == {("requests_a_minute_of_a_person",)}
    assert set(result.rows["user_key"].to_pylist()) == {"person"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(SampleShop(days=2, rows=4_000, queries=25, users=300), folder)
    return folder


@pytest.mark.parametrize("number", [0, 1])
def test_quarantine_finds_every_planted_row_and_no_other(bench, shop, engine, number):
    result = validate(bench, shop, "shop", number, engine=engine)
    ledger = [json.loads(line) for line in (shop / "faults.jsonl").read_text().splitlines()]
    planted = [entry for entry in ledger if entry["day"] == day(number).label]
    blocking = {entry["event_id"]: {entry["check"]} for entry in planted if entry["effect"] == "quarantined"}
    assert result.reasons() == blocking
    assert result.report["duplicates"] == sum(entry["effect"] == "dropped" for entry in planted)
    assert result.broken()["purchase_value_typical"] == sum(entry["effect"] == "warned" for entry in planted)


def test_the_same_source_is_validated_once(bench, tmp_path):
    folder = write_csv(tmp_path / "pairs", pairs(20))
    assert validate(bench, folder).ref == validate(bench, folder).ref


def test_rows_that_are_lost_on_the_way_are_an_error_with_the_numbers(bench, tmp_path):
    folder = write_csv(tmp_path / "pairs", pairs(20))
    with pytest.raises(PermanentError, match=r"lost.*20 records read.*19 kept \+ 0 in quarantine \+ 0 duplicates"):
        validate(bench, folder, engine=losing_engine)
