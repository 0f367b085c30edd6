"""What a day looks like, on both engines, and what is found of a day that is unlike those before it."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow.parquet as pq
import pytest

from fakes.deliveries import day, impression, judgement, partition_file, recipe, write_shop_day
from fakes.engines import duckdb_engine
from fakes.ordinary_days import FAULTS, Shop, judge_days
from fakes.stage_bench import StageBench
from recflow.data.compare import RowsBetween, rows_between
from recflow.data.heads import HeadHistory
from recflow.data.pins import pin_past, pin_source
from recflow.data.profile import Counts, Profile, Values, profile_rows
from recflow.data.review import review_day
from recflow.data.spec import VALIDATE_PARTITION
from recflow.data.validate import run
from recflow.domain.intervals import day_interval
from recflow.errors import BadData

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

NOW = datetime(2011, 2, 1, tzinfo=UTC)
REPORT = {"rows_in": 9, "rows": 7, "quarantined": 1, "duplicates": 1, "checks": []}
BOUGHT = {"kind": "purchase", "request_id": "r1", "user_key": "ann@example.com", "position": "2"}


def rows():
    """A search of two items, two purchases on it, a search of a second person, two judgements."""
    told = {"category": "shoes", "seller": "Ann Miller", "text": "I, Ann, like it", "description": None}
    return [
        impression(1, price="4", **told),
        impression(2, price="64.5", **told | {"category": "call 0151 23456789"}),
        judgement(3, **BOUGHT, value=10.0, grade=None, at=at(1)),
        judgement(4, **BOUGHT, value=30.0, grade=None, at=at(23.5)),
        impression(5, request_id="r2", user_key="u2", price="cheap", at=at(1), category="x" * 41),
        judgement(6, grade="2"),
        judgement(7, grade="2.6", at=at(2)),
    ]


def at(hours):
    return (day().start + timedelta(hours=hours)).isoformat()


@pytest.fixture
def profile(engine, tmp_path):
    path = partition_file(tmp_path / "rows.parquet", rows())
    with engine(tmp_path) as opened:
        return profile_rows(opened, path, day(), "Asia/Kolkata", REPORT)


def test_a_profile_counts_rows_columns_numbers_hours_and_values(profile):
    shown, bought = profile.kinds["impression"], profile.kinds["purchase"]
    assert {name: kind.rows for name, kind in profile.kinds.items()} == {"impression": 3, "judgement": 2, "purchase": 2}
    assert (shown.filled["description"], shown.filled["price"], bought.filled["value"]) == (1, 2, 2)
    assert profile.kinds["judgement"].filled["position"] == 0
    value = bought.numbers["value"]
    assert (value.count, value.mean, value.deviation, value.least, value.most) == (2, 20, 14.1421, 10, 30)
    assert value.quantiles == {
        0.05: 10,
        0.25: 10,
        0.5: 10,
        0.75: pytest.approx(30, rel=0.1),
        0.95: pytest.approx(30, rel=0.1),
    }
    assert (shown.numbers["price"].count, shown.numbers["price"].mean) == (2, 34.25)
    assert {hour: rows for hour, rows in enumerate(bought.hours) if rows} == {7: 1, 5: 1}  # of 01:00 and 23:30 UTC
    assert profile.counts["user_key"] == Counts(distinct=3, most=2)
    assert profile.counts["item_id"] == Counts(distinct=7, most=1)
    assert profile.values["grade"] == Values(rows={"2": 1, "3": 1}, others=0)
    assert (profile.first_s, profile.last_s) == (0, 1800)


def test_nothing_of_a_person_is_in_a_profile(profile):
    written = profile.model_dump_json()
    for told in ("ann@example.com", "Ann", "u2", "0151", "r1", "red shoe", "i1", "xxx"):
        assert told not in written
    assert set(profile.values["category"].rows) > {"shoes"}
    assert all(name.startswith("#") for name in profile.values["seller"].rows)
    assert Profile.model_validate_json(written) == profile


def test_hours_are_those_of_the_clock_on_a_day_on_which_clocks_change(engine, tmp_path):
    interval = day_interval("2011-03-27", "Europe/Berlin")
    moments = [interval.start + timedelta(hours=hours) for hours in (1, 2, 3)]
    path = partition_file(
        tmp_path / "rows.parquet", [impression(n, at=moment.isoformat()) for n, moment in enumerate(moments)]
    )
    with engine(tmp_path) as opened:
        hours = profile_rows(opened, path, interval, "Europe/Berlin", REPORT).kinds["impression"].hours
    assert {hour: rows for hour, rows in enumerate(hours) if rows} == {1: 1, 3: 1, 4: 1}


def test_rows_of_two_deliveries_are_told_by_what_names_them(engine, tmp_path):
    first = partition_file(tmp_path / "1.parquet", [judgement(n) for n in (1, 2, 3, 3, 4)])
    second = partition_file(
        tmp_path / "2.parquet", [judgement(1), judgement(2, grade="0"), judgement(3), judgement(5), judgement(6)]
    )
    with engine(tmp_path) as opened:
        found = rows_between(opened, first, second, ("event_id",))
    assert found == RowsBetween(alike=2, changed=1, only_first=2, only_second=2)


def test_ordinary_days_pass_and_planted_faults_are_found(tmp_path):
    with duckdb_engine(tmp_path) as engine:
        judged = list(judge_days(Shop(7, 150), range(41), engine, tmp_path, faults_every=20))
    assert [one for one in judged if not one.fault and one.unusual] == []
    assert {one.fault: bool(one.unusual) for one in judged if one.fault} == dict.fromkeys(FAULTS, True)
    assert {one.fault for one in judged if one.refused} >= {"a kind gone", "no descriptions"}


# ------------------------------------------------------------------------------------------------- through the stage
def searches(number, kinds=("impression", "click"), count=40):
    """A day of searches that were clicked on, for the day `number` days after the first."""
    base = {"query": "shoe", "item_id": "i1", "position": 1}
    return [
        {**base, "event_id": f"{number}-{n}-{kind}", "kind": kind, "request_id": f"r{number}-{n}", "user_key": f"u{n}",
         "at": (day(number).start + timedelta(minutes=30 * n)).isoformat()}
        for n in range(count + number % 3)
        for kind in kinds
    ]  # fmt: skip


class Line:
    """A line of which days are validated one after the other."""

    def __init__(self, folder):
        self.bench, self.folder = StageBench(folder / "bench"), folder / "shop"
        self.heads = HeadHistory(self.bench.store, "search")
        self.recipe = recipe("shop", str(self.folder), data={"recent": {"min_days": 3}})

    def validate(self, number, events=None):
        write_shop_day(self.folder, events or searches(number))
        for name in ("events", "catalogue"):
            (self.folder / name / f"{day().label}.jsonl").rename(self.folder / name / f"{day(number).label}.jsonl")
        source = pin_source(self.recipe, day(number), self.folder)
        inputs = {"source": (source,), "past": pin_past(self.recipe, day(number), self.heads)}
        stage = partial(run, engine=duckdb_engine)
        ref = self.bench.runner.run(VALIDATE_PARTITION, stage, self.recipe, day(number), inputs)
        self.heads.record(day(number), ref, at=NOW)
        return ref

    def report(self, ref):
        return json.loads((self.bench.artifacts.fetch(ref) / "validation.json").read_text())


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("line"))
    line.refs = [line.validate(number) for number in range(4)]
    return line


def test_a_partition_has_its_profile_beside_its_rows(line):
    folder = line.bench.artifacts.fetch(line.refs[3])
    profile = Profile.model_validate_json((folder / "profile.json").read_text())
    assert profile.rows == pq.read_table(folder / "rows.parquet").num_rows == 80
    assert profile.kinds["click"].rows == 40
    assert profile.checks["outcome_was_shown"] == (0, 40)


def test_too_few_past_days_are_told_and_nothing_is_judged(line):
    recent = line.report(line.refs[2])["recent"]
    assert recent["verdict"] == "2 past days are known, 3 are needed: not judged"
    assert recent["findings"] == []


def test_the_report_has_each_number_beside_what_is_usual(line):
    recent = line.report(line.refs[3])["recent"]
    assert (recent["verdict"], recent["days"]) == ("usual", [day(number).label for number in range(3)])
    (clicks,) = [finding for finding in recent["findings"] if finding["name"] == "click rows"]
    assert clicks["value"] == pytest.approx(1)
    assert clicks["low"] < clicks["value"] < clicks["high"]


def test_a_rerun_finds_its_partition_although_the_past_has_changed_since(line):
    line.heads.record(day(1), line.refs[1].model_copy(update={"digest": "0" * 64}), at=NOW)
    assert line.validate(3) == line.refs[3]
    assert "past" not in line.bench.artifacts.manifest(line.refs[3]).inputs
    line.heads.record(day(1), line.refs[1], at=NOW)


def test_an_unusual_day_is_told_in_its_warnings_and_its_log(line, caplog):
    events = searches(4)
    for event in events:
        event["at"] = (day(4).start + timedelta(hours=2)).isoformat()
    ref = line.validate(4, events)
    unusual = [one for one in line.report(ref)["recent"]["findings"] if one["verdict"] != "usual"]
    assert {one["name"] for one in unusual} == {"hours after the last event"}
    assert ref.numbers["warnings"] >= len(unusual) > 0
    assert "2011-01-05 is unlike the days before it: hours after the last event" in caplog.text


def test_a_day_without_a_kind_that_every_day_had_is_refused(line):
    with pytest.raises(BadData, match=r"unlike every day before it: click rows.*data\.recent\.severity\.kinds"):
        line.validate(5, searches(5, kinds=("impression",)))
    kept = review_day(line.bench.artifacts, "search", day(5).label)
    assert [refusal["name"] for refusal in kept.report["refusals"]] == ["unlike_the_past"]
    assert (kept.folder / "profile.json").exists()
    assert not (kept.folder / "rows.parquet").exists()
    assert "click rows" in (kept.folder / "data_docs" / "index.html").read_text()


def test_a_past_partition_that_is_gone_is_left_out_and_told(line, caplog):
    line.heads.record(day(0), line.refs[0].model_copy(update={"digest": "1" * 64}), at=NOW)
    recent = line.report(line.validate(6))["recent"]
    assert day(0).label not in recent["days"]
    assert "left out of the comparison" in caplog.text
