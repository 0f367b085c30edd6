"""Days on which clocks change: what belongs to them is kept, and they are windows like all others."""

import csv
import json
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from fakes.deliveries import recipe
from fakes.engines import duckdb_engine
from fakes.stage_bench import StageBench
from recflow.artifacts.parents import Parent
from recflow.data import build, validate
from recflow.data.heads import HeadHistory
from recflow.data.pins import pin_partitions, pin_source
from recflow.data.spec import BUILD_DATASET, VALIDATE_PARTITION
from recflow.domain.intervals import day_interval
from recflow.tasks.relevance.task import TASK

COLUMNS = ("event_id", "at", "query", "item_id", "title", "grade")
CHANGES = [
    ("Europe/Berlin", "2011-03-27", 23),
    ("Europe/Berlin", "2011-10-30", 25),
    ("America/Sao_Paulo", "2010-10-17", 23),
    ("America/Sao_Paulo", "2011-02-19", 25),
]


class Shop:
    """Judgements every quarter of an hour, by the clocks of a zone, with the days around one on which they change."""

    def __init__(self, folder, zone, label):
        self.folder, self.zone = folder, zone
        columns = {name: name for name in COLUMNS} | {"kind": {"constant": "judgement"}}
        events = [{"files": ["{date:%Y-%m-%d}.csv"], "columns": columns}]
        data = {"source": {"adapter": "tables", "events": events}}
        self.recipe = recipe(data=data, schedule={"timezone": zone}, split={"evaluation_days": 2})
        self.bench = StageBench(folder / "bench")
        self.heads = HeadHistory(self.bench.store, "search")
        start = day_interval(label, zone).start
        self.days = [self.day(start + timedelta(days=number, hours=12)) for number in (-1, 0, 1)]

    def day(self, moment):
        return day_interval(moment.astimezone(ZoneInfo(self.zone)).date().isoformat(), self.zone)

    def validate(self, interval, beside=()):
        """The day's rows as its partition keeps them, with those of moments `beside` it delivered too."""
        steps = int((interval.end - interval.start) / timedelta(minutes=15))
        moments = [*(interval.start + number * timedelta(minutes=15) for number in range(steps)), *beside]
        with (self.folder / f"{interval.label}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for number, at in enumerate(moments):
                event = f"{interval.label}-{number}"
                writer.writerow([event, at.isoformat(), f"query {number}", f"i{number}", f"title {number}", number % 4])
        source = pin_source(self.recipe, interval, self.folder)
        work = partial(validate.run, engine=duckdb_engine)
        inputs = {"source": (source,)}
        ref = self.bench.runner.run(VALIDATE_PARTITION, work, self.recipe, interval, inputs)
        self.heads.record(interval, ref, at=self.bench.clock.now())
        return pq.read_table(self.bench.artifacts.fetch(ref) / "rows.parquet")

    def dataset_days(self, interval, trained_through):
        """The days that a dataset says it was made of."""
        parent = self.bench.parent(Parent(trained_through=trained_through))
        partitions = pin_partitions(self.recipe, interval, trained_through, self.heads)
        work = partial(build.run, engine=duckdb_engine, task=TASK)
        inputs = {"parent": (parent,), "partitions": partitions}
        ref = self.bench.runner.run(BUILD_DATASET, work, self.recipe, interval, inputs)
        report = json.loads(self.bench.artifacts.read(ref, "dataset.json"))
        return report["days"], report["evaluation_days"]


@pytest.mark.parametrize(("zone", "label", "hours"), CHANGES)
def test_a_partition_keeps_every_hour_of_its_day_and_none_beside_it(tmp_path, zone, label, hours):
    shop = Shop(tmp_path, zone, label)
    interval = shop.days[1]
    assert interval.label == label
    outside = [interval.start - timedelta(minutes=1), interval.end + timedelta(minutes=1)]
    kept = shop.validate(interval, beside=outside)["at"].to_pylist()
    assert len(kept) == 4 * hours
    assert (min(kept), max(kept)) == (interval.start, interval.end - timedelta(minutes=15))


@pytest.mark.parametrize(("zone", "label"), [("Europe/Berlin", "2011-10-30"), ("America/Sao_Paulo", "2010-10-17")])
def test_a_dataset_takes_whole_days_on_both_sides_of_the_change(tmp_path, zone, label):
    shop = Shop(tmp_path, zone, label)
    for interval in shop.days:
        shop.validate(interval)
    before, changed, after = (interval.label for interval in shop.days)
    assert shop.dataset_days(shop.days[1], shop.days[0].end) == ([changed], [before, changed])
    assert shop.dataset_days(shop.days[2], shop.days[0].end) == ([changed, after], [changed, after])
