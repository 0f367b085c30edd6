"""A proposed recipe tried on its sample: what becomes of the rows of one day."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from recflow.config.recipe import Recipe
from recflow.data.proposal.sample import Sample
from recflow.data.refusals import Findings
from recflow.data.sources import open_source
from recflow.data.sources.batches import texts, whole_batch
from recflow.data.sources.columns import make_column
from recflow.data.validate import validate_delivery
from recflow.domain.intervals import day_interval
from recflow.engine import OpenEngine

_ANY_DAY = "2011-01-01"


@dataclass(frozen=True)
class Trial:
    """The day that was tried: rows read, kept and put aside by reason, and what refuses the day as a whole."""

    day: str
    rows: int
    kept: int
    reasons: Mapping[str, int]
    refusals: tuple[str, ...]


def try_recipe(recipe: Recipe, sample: Sample, engine: OpenEngine) -> Trial:
    """Validate the sample's rows of its fullest day as a day of the line's would be; nothing is kept."""
    with TemporaryDirectory(prefix="trial-") as folder:
        root = Path(folder)
        (root / "sample").mkdir()
        dated = _of_rows(recipe)
        label = _write_fullest_day(sample, dated, root / "sample")
        interval, findings = day_interval(label, recipe.schedule.timezone), Findings()
        with findings.looking(), engine(root) as opened:
            delivery = open_source(dated, (root / "sample").as_uri()).deliver(interval, root)
            validate_delivery(opened, delivery, dated, interval, root, findings)
        report = findings.close()
    refusals = tuple(f"{refusal['what']}: {refusal['seen']}" for refusal in report["refusals"])
    rows, put_aside = report.get("rows_in", 0), report.get("quarantined", 0)
    return Trial(label, rows, rows - put_aside, report.get("reasons", {}), refusals)


def _of_rows(recipe: Recipe) -> Recipe:
    """The recipe whose table is a file a day, of the rows that the sample has of it."""
    source = recipe.data.source
    (table,) = source.events
    options = {"files": ("{date:%Y-%m-%d}.jsonl",), "format": "jsonl", "encoding": "utf-8", "own_times": False}
    events = (table.model_copy(update=options | {"spread": None}),)
    data = recipe.data.model_copy(update={"min_rows": 1, "source": source.model_copy(update={"events": events})})
    return recipe.model_copy(update={"data": data})


def _write_fullest_day(sample: Sample, recipe: Recipe, folder: Path) -> str:
    """Write the rows of the day that has most of them; which one it is. Rows without a time are that day's too."""
    days = _days(sample, recipe)
    label = next((day for day, _ in Counter(filter(None, days)).most_common(1)), _ANY_DAY)
    rows = zip(days, *sample.columns.values(), strict=True)
    with (folder / f"{label}.jsonl").open("w", encoding="utf-8") as stream:
        for day, *values in rows:
            if day in {label, ""}:
                stream.write(json.dumps(dict(zip(sample.columns, values, strict=True)), ensure_ascii=False) + "\n")
    return label


def _days(sample: Sample, recipe: Recipe) -> list[str]:
    """The day of each row, by the recipe's reading of its time; empty where it has none that can be read."""
    columns = {name: texts(values) for name, values in sample.columns.items()}
    batch = whole_batch(columns, 1, sample.rows - sample.damaged)
    source, zone = recipe.data.source, ZoneInfo(recipe.schedule.timezone)
    times = make_column(source.events[0].columns["at"], batch, day_interval(_ANY_DAY, zone.key), source.zone)
    return [_day(time, zone) for time in times.to_pylist()]


def _day(time: str | None, zone: ZoneInfo) -> str:
    try:
        return datetime.fromisoformat(time or "").astimezone(zone).date().isoformat()
    except (ValueError, OverflowError):
        return ""
