"""Days whose feed has another convention, and days with bad luck, through the whole validation."""

import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pyarrow.parquet as pq
import pytest

from fakes.deliveries import day, recipe, write_csv, write_shop_day
from fakes.engines import duckdb_engine
from fakes.stage_bench import StageBench
from recflow.config.sections.data import LabelSection
from recflow.data.pins import pin_source
from recflow.data.spec import VALIDATE_PARTITION
from recflow.data.validate import run
from recflow.errors import BadData
from recflow.tasks.relevance.labels import label_pairs, read_events


class Validated:
    """A validated day, opened."""

    def __init__(self, folder, source, number=0, engine=duckdb_engine, **data):
        bench = StageBench(Path(mkdtemp(dir=folder)))
        settings = recipe(data={"source": source, **data})
        pinned = pin_source(settings, day(number), folder)
        stage = partial(run, engine=engine)
        self.folder = bench.artifacts.fetch(bench.run(VALIDATE_PARTITION, stage, settings, day=number, source=pinned))
        self.report = json.loads((self.folder / "validation.json").read_text())
        quarantine = pq.read_table(self.folder / "quarantine.parquet")
        self.quarantine = quarantine.sort_by("source_row").to_pylist()

    @property
    def rows(self):
        return self.report["rows"]


def labelled(folder, *days):
    """The labels of validated days."""
    with TemporaryDirectory(dir=folder) as scratch, duckdb_engine(Path(scratch)) as engine:
        files = [(label, found.folder / "rows.parquet") for label, found in days]
        return engine.fetch(label_pairs(engine, read_events(engine, files), LabelSection())[0])


def searches(first_place):
    """Forty searches of ten items, every other one with a click on its first item."""
    for search in range(40):
        at = f"2011-01-01T{10 + search // 10}:{search % 10:02}:00+00:00"
        who = {"request_id": f"r{search}", "user_key": f"u{search}", "query": f"shoe {search % 4}", "at": at}
        for place in range(10):
            shown = {"item_id": f"i{place}", "position": place + first_place}
            yield {**who, **shown, "event_id": f"{search}-{place}", "kind": "impression"}
            if place == 0 and search % 2:
                yield {**who, **shown, "event_id": f"c{search}", "kind": "click"}


SHOP = {"adapter": "shop", "path": "."}


def as_tables(**position):
    """The shop's files, with the position made by a rule."""
    same = ("event_id", "at", "kind", "request_id", "user_key", "query", "item_id")
    columns = {**{name: name for name in same}, "position": {"column": "position", **position}}
    texts = {"item_id": "item_id", "title": "title", "description": "description"}
    return {
        "adapter": "tables",
        "events": [{"files": ["events/{date:%Y-%m-%d}.jsonl"], "columns": columns}],
        "catalogue": {"files": ["catalogue/{date:%Y-%m-%d}.jsonl"], "columns": texts},
    }


def test_positions_from_zero_refuse_the_day_and_the_option_that_the_message_names_mends_it(tmp_path, engine):
    write_shop_day(tmp_path, list(searches(0)), [f"i{n}" for n in range(10)])
    with pytest.raises(BadData, match=r"loses 60 of 60 rows with position 0.*offset: 1"):
        Validated(tmp_path, SHOP, engine=engine)
    mended = Validated(tmp_path, as_tables(offset=1), engine=engine)
    assert (mended.rows, mended.quarantine) == (420, [])


def test_a_scale_of_five_refuses_the_day_and_the_option_that_the_message_names_mends_it(tmp_path):
    grades = (5, 4, 3, 3, 2, 2, 1, 1)
    write_csv(tmp_path, [f"{n},query {n % 30},title {n},text,{grades[n % 8]},0" for n in range(320)])
    with pytest.raises(BadData, match=r"loses 40 of 40 rows with grade 4.*scale: 0\.75, offset: 0"):
        Validated(tmp_path, {"adapter": "crowdflower", "days": 1})
    columns = {
        "event_id": "id",
        "at": {"day_start": True},
        "kind": {"constant": "judgement"},
        "query": "query",
        "item_id": {"column": "product_title", "id_of_text": True},
        "title": "product_title",
        "description": "product_description",
        "grade": {"column": "median_relevance", "scale": 0.75, "offset": -0.75},
    }
    spread = {"column": "id", "days": 1, "first_day": "2011-01-01"}
    table = {"files": ["*.csv"], "spread": spread, "columns": columns}
    assert Validated(tmp_path, {"adapter": "tables", "events": [table]}).rows == 320


def test_an_hour_that_is_lost_refuses_the_day(tmp_path):
    rows = [event for event in searches(1) if event["kind"] == "impression"]
    for row in rows[:30]:
        row["at"] = row["at"].replace("2011-01-01T10", "2011-01-02T01")
    write_shop_day(tmp_path, rows, [f"i{n}" for n in range(10)])
    with pytest.raises(BadData, match=r"30 of 30 rows with hour 2011-01-02 01:00:00.*data\.source\.zone"):
        Validated(tmp_path, SHOP)


def test_a_few_bad_rows_of_one_value_are_put_aside_as_ever(tmp_path):
    rows = list(searches(1))
    for row in rows[:15]:
        row["position"] = 0
    write_shop_day(tmp_path, rows, [f"i{n}" for n in range(10)])
    assert len(Validated(tmp_path, SHOP).quarantine) == 15


def test_a_stray_quote_puts_its_line_aside_as_it_was_delivered_and_no_other(tmp_path, engine):
    lines = [f"{n},tv bracket {n % 30},bracket model {n},text,{1 + n % 4},0" for n in range(300)]
    lines[120] = '120,tv bracket,"27 inch bracket,text,4,0'
    lines[180] = '180,tv bracket,"32 inch bracket,text,4,0'
    write_csv(tmp_path, lines)
    day_of_pairs = Validated(tmp_path, {"adapter": "crowdflower", "days": 1}, engine=engine)
    assert (day_of_pairs.report["rows_in"], day_of_pairs.rows) == (300, 298)
    assert [(row["source_row"], row["damage"].partition(": ")[2]) for row in day_of_pairs.quarantine] == [
        (122, lines[120]),
        (182, lines[180]),
    ]
    assert all("record_whole" in row["reasons"] for row in day_of_pairs.quarantine)


def test_a_panel_of_raters_who_agree_is_no_replayed_feed_and_its_majority_counts(tmp_path):
    panel = [f"{3 * n + r},query {n % 10},title {n},text,{4 if r < 2 else 1},0" for n in range(40) for r in range(3)]
    write_csv(tmp_path, panel)
    judged = Validated(tmp_path, {"adapter": "crowdflower", "days": 1})
    table = labelled(tmp_path, ("2011-01-01", judged))
    assert set(table["grade"].to_pylist()) == {2}


def test_clicks_after_midnight_on_searches_before_it_are_kept_and_labelled(tmp_path, engine):
    def event(number, kind, at, request):
        who = {"request_id": request, "user_key": f"u{number}", "query": "lamp", "item_id": "i1", "position": 1}
        return {**who, "event_id": f"{kind}{number}", "kind": kind, "at": at}

    late = [event(n, "impression", f"2011-01-01T23:{50 + n}:00+00:00", f"a{n}") for n in range(8)]
    clicks = [event(n, "click", f"2011-01-02T00:0{n}:30+00:00", f"a{n}") for n in range(8)]
    too_late = event(99, "click", "2011-01-02T00:31:00+00:00", "a0")
    noon = [event(100 + n, "impression", f"2011-01-02T12:{n:02}:00+00:00", f"b{n}") for n in range(60)]
    write_shop_day(tmp_path, late)
    lines = "".join(json.dumps(row) + "\n" for row in [*clicks, too_late, *noon])
    (tmp_path / "events" / "2011-01-02.jsonl").write_text(lines)
    first, second = (Validated(tmp_path, SHOP, number, engine) for number in range(2))
    assert [row["event_id"] for row in second.quarantine] == ["click99"]
    alone = labelled(tmp_path, ("2011-01-01", first))
    both = labelled(tmp_path, ("2011-01-01", first), ("2011-01-02", second))
    assert alone["grade"].to_pylist() == [0]
    assert both["grade"].to_pylist() == [1]  # 8 of 68 were clicked


def test_request_ids_that_start_anew_each_day_join_neither_day_with_the_other(tmp_path):
    def event(number, kind, label, item):
        who = {"request_id": f"r{number}", "user_key": f"u{number}", "query": "lamp", "item_id": item, "position": 1}
        return {**who, "event_id": f"{label}{kind}{number}", "kind": kind, "at": f"{label}T12:{number:02}:00+00:00"}

    write_shop_day(tmp_path, [])
    for label, item in (("2011-01-01", "i1"), ("2011-01-02", "i2")):
        rows = [event(n, "impression", label, item) for n in range(30)]
        rows += [event(n, "click", label, item) for n in range(30)] if item == "i2" else []
        (tmp_path / "events" / f"{label}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = labelled(tmp_path, *((day(n).label, Validated(tmp_path, SHOP, n)) for n in range(2)))
    assert {row["item_id"]: row["grade"] for row in table.to_pylist()} == {"i1": 0, "i2": 3}


OTHERS = [
    {"event_id": "s1", "kind": "search", "user_key": "u1", "query": "shoe", "request_id": "r1"},
    {"event_id": "b1", "kind": "browse", "user_key": "u1", "item_id": "i1"},
    {"event_id": "v1", "kind": "review", "user_key": "u1", "item_id": "i1", "text": "fits well", "rating": 5},
]


def test_searches_and_reviews_are_kept_with_their_words_and_teach_nothing(tmp_path):
    rows = [*searches(1), *({**other, "at": "2011-01-01T10:00:00+00:00"} for other in OTHERS)]
    write_shop_day(tmp_path, rows, [f"i{n}" for n in range(10)])
    source = as_tables()
    source["events"][0]["columns"] |= {name: {"column": name, "optional": True} for name in ("text", "rating")}
    source["catalogue"]["columns"]["category"] = "description"
    found = Validated(tmp_path, source, other_kinds=("search", "browse", "review"))
    assert found.quarantine == []
    kept = {row["kind"]: row for row in pq.read_table(found.folder / "rows.parquet").to_pylist()}
    assert (kept["review"]["text"], kept["review"]["rating"]) == ("fits well", "5")
    assert (kept["browse"]["category"], kept["search"]["category"]) == ("leather", None)
    with_them, without = labelled(tmp_path, ("2011-01-01", found)), Validated(tmp_path, as_tables())
    assert len(without.quarantine) == 3
    assert labelled(tmp_path, ("2011-01-01", without)).sort_by("item_id").equals(with_them.sort_by("item_id"))


ITEMS = tuple(f"i{place}" for place in range(10))


def test_what_is_quarantined_tells_of_nobody_either(tmp_path):
    rows = [*searches(1), {"event_id": "x", "at": "never", "kind": "impression", "query": "ann@example.com"}]
    write_shop_day(tmp_path, rows, ITEMS)
    [bad] = Validated(tmp_path, SHOP).quarantine
    assert (bad["query"], bad["at"]) == ("[email]", "never")
    [bad] = Validated(tmp_path, SHOP, cleaning={"mask": False}).quarantine
    assert bad["query"] == "ann@example.com"


def test_neither_report_nor_quarantine_nor_docs_show_a_person_in_a_damaged_line(tmp_path):
    write_csv(tmp_path, [*(f"{n},query {n % 30},title {n},text,3,0" for n in range(60)), "7,ann@example.com,a,b,c,3,0"])
    found = Validated(tmp_path, {"adapter": "crowdflower", "days": 1})
    [bad] = found.quarantine
    assert "[email]" in bad["damage"]
    assert all(b"ann@example.com" not in path.read_bytes() for path in found.folder.rglob("*") if path.is_file())


def test_a_recipe_may_check_what_is_carried_beside_the_columns(tmp_path):
    write_shop_day(tmp_path, list(searches(1)), ITEMS)
    rule = {"name": "priced", "severity": "warning", "expectation": "expect_column_values_to_not_be_null"}
    report = Validated(tmp_path, SHOP, checks=[{**rule, "kwargs": {"column": "price"}}]).report
    assert {check["name"]: check["broken"] for check in report["checks"]}["priced"] == report["rows"]


def bought(row):
    """A purchase in place of a click: the first one ten times dearer than the others."""
    if row["kind"] != "click":
        return row
    number = int(row["event_id"].removeprefix("c"))
    return {**row, "kind": "purchase", "value": 100 if number == 1 else 10 + number % 3}


@pytest.mark.parametrize(("mads", "told"), [(None, 0), (3, 1)])
def test_what_is_an_outlier_follows_from_the_recipe(tmp_path, mads, told):
    write_shop_day(tmp_path, [bought(row) for row in searches(1)], ITEMS)
    report = Validated(tmp_path, SHOP, cleaning={"outlier_mads": mads}).report
    assert {check["name"]: check["broken"] for check in report["checks"]}["purchase_value_typical"] == told
