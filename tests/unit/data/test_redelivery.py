"""Days that are delivered again: what notices them, and what the history of heads says of them."""

import os
from functools import partial

import pytest

from fakes.deliveries import day, recipe, write_csv
from fakes.stage_bench import StageBench
from recflow.artifacts.refs import RefKind
from recflow.data.heads import Head, HeadHistory, why_current
from recflow.data.pins import deliver_pinned, pin_source
from recflow.data.redelivery import Look, look_back, replaced
from recflow.data.sources import open_source
from recflow.data.spec import BUILD_DATASET, VALIDATE_PARTITION
from recflow.stages import StageOutput

EVENTS = {"files": ["{date:%Y-%m-%d}.csv"], "columns": {"event_id": "id", "item_id": "sku"}}
SHARED = {"files": ["items.csv"], "columns": {"item_id": "sku", "title": "name"}}
DATED = {**SHARED, "files": ["items-{date:%Y-%m-%d}.csv"]}


class Line:
    """A line whose days are kept as they are delivered: nothing is judged."""

    def __init__(self, folder, catalogue=None, **table):
        self.folder, self.bench = folder, StageBench(folder / "bench")
        events = [{**EVENTS, **table}]
        self.source_section = {"adapter": "tables", "events": events, "catalogue": catalogue, "zone": "UTC"}
        self.recipe = self.with_rules()
        self.heads = HeadHistory(self.bench.store, "search")

    def with_rules(self, **data):
        return recipe(data={"source": self.source_section, **data})

    def deliver(self, number, text, name="{}.csv"):
        (self.folder / name.format(day(number).label)).write_text(text)
        return self

    def source(self):
        return open_source(self.recipe, self.folder.as_uri())

    def keep(self, number, settings=None, fresh=""):
        """Make the day's partition of what is delivered now, and make it the current one."""
        settings = settings or self.recipe
        pinned = pin_source(settings, day(number), self.folder)

        def kept(context):
            deliver_pinned(self.source(), pinned, context.interval, context.output)
            return StageOutput()

        runner, inputs = self.bench.runner, {"source": (pinned,)}
        ref = runner.run(VALIDATE_PARTITION, kept, settings, day(number), inputs, fresh=fresh)
        why = partial(why_current, self.bench.artifacts, ref)
        return self.heads.record(day(number), ref, at=self.bench.clock.now(), why=why)

    def look(self, number, days=7):
        return look_back(day(number), days, self.source(), self.heads, self.bench.artifacts)


@pytest.fixture
def line(tmp_path):
    """Three days are delivered and kept; the fourth is today."""
    line = Line(tmp_path)
    for number in range(3):
        line.deliver(number, f"id,sku\n{number},x\n").keep(number)
    return line


class Unread:
    """A source that may be looked at but not read."""

    def __init__(self, source):
        self.stamp = source.stamp

    def fingerprint(self, interval):
        raise AssertionError(f"{interval.label} was read")


class TestLook:
    def test_a_day_whose_content_changed_is_found_and_no_other(self, line):
        line.deliver(1, "id,sku\n1,y\n")
        assert line.look(3) == Look(again=("2011-01-02",), gone=())

    def test_days_that_nobody_touched_are_not_read(self, line):
        assert look_back(day(3), 7, Unread(line.source()), line.heads, line.bench.artifacts) == Look((), ())

    def test_a_file_that_was_only_copied_again_is_no_other_delivery(self, line):
        os.utime(line.folder / "2011-01-02.csv", (0, 0))
        assert line.look(3) == Look((), ())

    def test_one_byte_that_changed_in_a_file_of_the_same_size_is_found(self, line):
        line.deliver(2, "id,sku\n2,z\n")
        assert line.look(3).again == ("2011-01-03",)

    def test_a_day_that_is_gone_from_the_source_is_told_as_gone(self, line):
        (line.folder / "2011-01-01.csv").unlink()
        assert line.look(3) == Look(again=(), gone=("2011-01-01",))

    def test_it_looks_back_as_far_as_the_recipe_says_and_never_at_the_runs_own_day(self, line):
        for number in range(3):
            line.deliver(number, f"id,sku\n{number},y\n")
        assert line.look(2, days=1).again == ("2011-01-02",)
        assert line.look(3, days=0).again == ()

    def test_a_day_that_never_had_a_partition_does_not_come_again(self, line):
        line.deliver(4, "id,sku\n4,x\n")
        assert line.look(5).again == ()

    def test_a_day_that_was_validated_again_is_as_quiet_as_before(self, line):
        line.deliver(1, "id,sku\n1,y\n").keep(1)
        assert line.look(3) == Look((), ())

    def test_a_partition_of_a_former_version_is_compared_by_its_digest(self, line):
        head = line.heads.current("2011-01-02")
        manifest = line.bench.artifacts.manifest(head.partition)
        (pinned,) = manifest.inputs["source"]
        plain = manifest.model_copy(update={"inputs": {"source": (pinned.model_copy(update={"numbers": {}}),)}})
        old = line.bench.artifacts.publish(plain, line.bench.artifacts.fetch(head.partition), replace=True)
        line.heads.record(day(1), old, at=line.bench.clock.now())
        assert line.look(3) == Look((), ())
        line.deliver(1, "id,sku\n1,y\n")
        assert line.look(3).again == ("2011-01-02",)

    def test_a_catalogue_that_all_days_share_makes_no_day_anew_and_one_of_the_day_does(self, tmp_path):
        for catalogue, name, again in ((SHARED, "items.csv", ()), (DATED, "items-{}.csv", ("2011-01-01",))):
            folder = tmp_path / name
            folder.mkdir()
            line = Line(folder, catalogue)
            line.deliver(0, "id,sku\n1,x\n").deliver(0, "sku,name\nx,lamp\n", name).keep(0)
            line.deliver(0, "sku,name\nx,green lamp\n", name)
            assert line.look(1).again == again

    def test_of_a_file_of_many_days_the_one_whose_rows_changed_is_found(self, tmp_path):
        columns = {"event_id": "id", "item_id": "sku", "at": {"column": "time", "time": ["%d.%m.%Y"]}}
        line = Line(tmp_path, files=["all.csv"], own_times=True, columns=columns)
        rows = "id,sku,time\n1,x,01.01.2011\n2,x,02.01.2011\n"
        line.deliver(0, rows, "all.csv").keep(0)
        line.keep(1)
        line.deliver(0, f"{rows}3,x,03.01.2011\n", "all.csv")
        assert line.look(2) == Look((), ())
        line.deliver(0, rows.replace("2,x", "2,y"), "all.csv")
        assert line.look(2) == Look(again=("2011-01-02",), gone=())
        line.deliver(0, "id,sku,time\n1,x,01.01.2011\n", "all.csv")
        assert line.look(2) == Look(again=(), gone=("2011-01-02",))


class TestWhy:
    def test_the_first_partition_of_a_day_is_its_first_delivery(self, line):
        head = line.heads.current("2011-01-01")
        assert (head.reason, head.at) == ("first delivery", line.bench.clock.now())

    def test_another_delivery_is_told_by_both_digests_and_the_one_before_stays_readable(self, line):
        before = line.heads.current("2011-01-02")
        (then,) = line.bench.artifacts.manifest(before.partition).inputs["source"]
        head = line.deliver(1, "id,sku\n1,y\n").keep(1)
        (now,) = line.bench.artifacts.manifest(head.partition).inputs["source"]
        assert head.reason == f"delivered again: {then.short} → {now.short}"
        assert [one.seq for one in line.heads.history("2011-01-02")] == [1, 2]
        assert (line.bench.artifacts.fetch(before.partition) / "events.parquet").is_file()

    def test_a_delivery_that_is_taken_back_is_the_one_before_again(self, line):
        first = line.heads.current("2011-01-02")
        line.deliver(1, "id,sku\n1,y\n").keep(1)
        third = line.deliver(1, "id,sku\n1,x\n").keep(1)
        assert (third.seq, third.partition.digest) == (3, first.partition.digest)
        assert third.reason.startswith("delivered again: ")

    def test_rules_that_changed_are_named(self, line):
        head = line.keep(1, line.with_rules(min_rows=2))
        assert head.reason == "rules changed: data.min_rows: 1 → 2"

    def test_who_asks_for_it_again_says_why(self, line):
        assert line.keep(1, fresh="the disk was full").reason == "asked for: the disk was full"

    def test_a_partition_that_cannot_be_read_any_more_may_still_be_replaced(self, line):
        store = line.bench.store
        for key in [key for key in store.objects if "/manifests/" in key]:
            store.objects[key] = b"{}"
        head = line.deliver(1, "id,sku\n1,y\n").keep(1)
        assert "the one before cannot be read: the manifest of " in head.reason

    def test_a_head_of_a_former_version_has_no_reason_and_is_read(self, line):
        head = line.heads.current("2011-01-02")
        key = next(key for key in line.bench.store.objects if "/heads/2011-01-02/" in key)
        line.bench.store.objects[key] = head.model_dump_json(exclude={"reason", "at"}).encode()
        assert line.heads.current("2011-01-02") == Head(seq=1, interval=head.interval, partition=head.partition)


class TestDatasets:
    def dataset(self, line, days):
        refs = tuple(line.heads.current(day(number).label).partition for number in days)
        inputs = {"parent": (line.bench.parent(),), "partitions": refs}
        interval = day(days[-1])
        return line.bench.runner.run(BUILD_DATASET, lambda _: StageOutput(), line.recipe, interval, inputs)

    def test_one_whose_days_are_current_rests_on_nothing_old(self, line):
        assert replaced(self.dataset(line, range(3)), line.heads, line.bench.artifacts) == []

    def test_one_says_which_of_its_days_were_delivered_again_since(self, line):
        dataset = self.dataset(line, range(1, 3))
        assert dataset.kind is RefKind.DATASET
        line.deliver(0, "id,sku\n0,y\n").keep(0)
        assert replaced(dataset, line.heads, line.bench.artifacts) == [], "that day is none of its own"
        head = line.deliver(2, "id,sku\n2,y\n").keep(2)
        assert replaced(dataset, line.heads, line.bench.artifacts) == [head]


def test_days_of_one_shared_file_without_dates_cost_a_look_at_its_rows(tmp_path):
    write_csv(tmp_path / "pairs", ["1,q,t,d,1,0"])
    source = open_source(recipe("crowdflower", "pairs"), (tmp_path / "pairs").as_uri())
    assert source.stamp(day()) == source.stamp(day(1))
    assert source.fingerprint(day()).empty is False
    assert source.fingerprint(day(400)).empty
