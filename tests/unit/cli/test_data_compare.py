"""`recflow data compare` on partitions that are made here, with a store in memory behind it."""

import json

import pytest
from typer.testing import CliRunner

from fakes.deliveries import day, impression, partition_file, recipe
from fakes.engines import duckdb_engine
from fakes.stage_bench import StageBench
from recflow.artifacts.refs import RefKind
from recflow.cli import days as cli
from recflow.data.heads import HeadHistory
from recflow.data.profile import profile_rows
from recflow.errors import BadConfiguration
from recflow.wiring.services import Services


class World(Services):
    """The services of a command over a bench, with one line and its partitions."""

    def __init__(self, root):
        self.root, self.bench = root, StageBench(root / "bench")
        self.store, self.artifacts, self.engine = self.bench.store, self.bench.artifacts, duckdb_engine
        self.line = recipe(data={"recent": {"min_days": 3}})
        self.heads = HeadHistory(self.store, self.line.name)

    def recipe(self, name):
        if name != self.line.name:
            raise BadConfiguration(f"there is no recipe {name}", expected=self.line.name, seen=name)
        return self.line

    def deliver(self, number, rows, *, profiled=True, checks=()):
        folder = self.root / f"partition-{len(self.store.objects)}"
        folder.mkdir()
        partition_file(folder / "rows.parquet", rows)
        counts = {"rows_in": len(rows), "rows": len(rows), "quarantined": 0, "duplicates": 0}
        report = {**counts, "checks": [dict(zip(("name", "broken", "judged"), check, strict=True)) for check in checks]}
        (folder / "validation.json").write_text(json.dumps(report))
        if profiled:
            with duckdb_engine(folder) as engine:
                found = profile_rows(engine, folder / "rows.parquet", day(number), "UTC", report)
            (folder / "profile.json").write_text(found.model_dump_json())
            (folder / "engine.duckdb").unlink()
        ref = self.bench.publish(RefKind.PARTITION, folder, numbers=counts)
        self.heads.record(day(number), ref, at=self.bench.clock.now())


def shown(number, count=30, **changes):
    """Searches of one item each by a person each, an hour apart at most."""
    return [
        impression(n, event_id=f"{number}-{n}", request_id=f"r{number}-{n}", user_key=f"u{n}", position="1",
                   at=day(number).start.replace(hour=n % 24).isoformat(), **changes)
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def call(world, monkeypatch):
    monkeypatch.setattr(cli, "build_services", lambda: world)

    def run(*arguments):
        result = CliRunner().invoke(cli.app, ["compare", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return run


def test_two_days_are_told_apart_in_tables(world, call):
    world.deliver(0, shown(0), checks=[("title_length", 2, 30)])
    changed = [
        {**row, "kind": "click" if n % 2 else "impression"} for n, row in enumerate(shown(1, 60, description=None))
    ]
    world.deliver(1, changed, checks=[("title_length", 0, 60)])
    told = call("search", "2011-01-01", "2011-01-02")
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0] == "rows 2011-01-01@1 2011-01-02@1 difference"
    assert "impression 30 30" in lines
    assert "click 0 30 +30" in lines
    assert "rows_in 30 60 +30 (+100%)" in lines
    assert "description of impression has values in 2011-01-01@1 alone: 30" in lines
    assert "title_length 2 0" in lines
    assert any(line.startswith("click rows kinds") for line in lines)
    assert "too few days before are known to tell" in told
    assert "alike" not in told


def test_what_the_days_before_differ_by_is_no_difference(world, call):
    for number, rows in enumerate((30, 60, 28, 66, 31)):
        world.deliver(number, shown(number, rows))
    found = json.loads(call("search", "2011-01-04", "2011-01-05", "--json"))
    assert found["days"] == 3
    (rows,) = [one for one in found["differences"] if one["name"] == "rows"]
    assert (round(rows["first"]), round(rows["second"]), rows["beyond"]) == (66, 32, False)


def test_two_deliveries_of_one_day_are_compared_row_by_row(world, call):
    first = shown(0)
    second = [{**first[0], "title": "another"}, *first[1:20], *shown(9, 3)]
    for rows in (first, second):
        world.deliver(0, rows)
    told = call("search", "2011-01-01@1", "2011-01-01")
    assert "19 rows are in both alike, 1 in both but changed, 10 in 2011-01-01@1 alone, 3 in 2011-01-01@2 alone" in told


def test_a_partition_that_is_older_than_profiles_is_profiled_now(world, call):
    world.deliver(0, shown(0), profiled=False)
    world.deliver(1, shown(1))
    found = json.loads(call("search", "2011-01-01", "2011-01-02", "--json"))
    assert found["kinds"]["impression"] == [30, 30]
    assert len(found["differences"]) > 20


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (("2011-01-01", "2011-01-09"), "2011-01-09 of search has no partition.*such as 2011-01-02, 2011-01-01"),
        (("2011-01-01", "2011-01-01"), "compared with itself.*2011-01-01 and 2011-01-01"),
        (("2011-01-01@1", "2011-01-01"), "compared with itself"),
        (("2011-01-01@2", "2011-01-02"), "no such delivery of 2011-01-01.*2011-01-01@1 … 2011-01-01@1"),
        (("2011-01-01@", "2011-01-02"), "no such delivery"),
        (("yesterday", "2011-01-02"), "a day as 2011-01-04, seen yesterday"),
    ],
)
def test_days_that_cannot_be_compared_are_refused_with_what_there_is(world, call, days, told):
    for number in (0, 1):
        world.deliver(number, shown(number))
    with pytest.raises(BadConfiguration, match=told):
        call("search", *days)


def test_a_line_without_a_partition_says_so(call):
    with pytest.raises(BadConfiguration, match=r"no partition.*a day that was validated"):
        call("search", "2011-01-01", "2011-01-02")


def test_a_recipe_that_is_not_there_is_told(call):
    with pytest.raises(BadConfiguration, match="there is no recipe other"):
        call("other", "2011-01-01", "2011-01-02")
