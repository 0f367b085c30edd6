"""Ordinary days of the generated shop, as partitions hold them, with a week's rhythm; and faults planted into one.

Weekends are quieter, days differ by some 8 % beside that, and searches are thinned to the wanted size: a small day is
like a large one in all but its size.
"""

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fakes.deliveries import day as day_of
from recflow.config.sections.recent import RecentSection
from recflow.data.profile import Profile, profile_rows
from recflow.data.recent import judge_against
from recflow.data.rows import PARTITION
from recflow.data.sample.behaviour import Day, day_events
from recflow.data.sample.catalogue import make_goods, make_wishes, true_grade
from recflow.engine import Engine

FIRST = date(2011, 1, 1)
_SEARCHES_A_DAY = 1_600
_WEEK = (1.0, 1.0, 1.0, 1.05, 1.15, 0.7, 0.6)  # from Monday on
_SPREAD = 0.08


@dataclass(frozen=True)
class Shop:
    """A shop of one seed; `searches` on an average day, 15 impressions each."""

    seed: int
    searches: int = 1_600

    def __post_init__(self) -> None:
        goods, wishes = make_goods(self.seed), make_wishes(self.seed)
        object.__setattr__(self, "goods", goods)
        object.__setattr__(self, "wishes", wishes)
        object.__setattr__(self, "by_item", {good.item_id: good for good in goods})
        object.__setattr__(self, "by_query", {wish.text: wish for wish in wishes})
        object.__setattr__(self, "users", [f"u{number:05d}" for number in range(2_000)])

    def rows(self, number: int) -> pa.Table:
        """The rows of the day `number` days after the first, of the partition's schema."""
        dice = Random(f"ordinary-{self.seed}-{number}")
        when = FIRST + timedelta(days=number)
        size = self.searches * _WEEK[when.weekday()] * math.exp(dice.gauss(0, _SPREAD))
        events = day_events(
            Day(number, when, 15 * _SEARCHES_A_DAY * 2, 150, self.users, self.seed),
            self.goods,
            self.wishes,
            frozenset(),
        )
        requests = sorted({event["request_id"] for event in events})
        kept = set(dice.sample(requests, min(len(requests), round(size))))
        shown = [self._row(event) for event in events if event["request_id"] in kept]
        return pa.Table.from_pylist([*shown, *self._judged(shown, dice)], PARTITION)

    def _row(self, event: dict[str, Any]) -> dict[str, Any]:
        good = self.by_item[event["item_id"]]
        language = "en" if (draw := zlib.crc32(event["user_key"].encode()) % 20) < 16 else "de" if draw < 19 else "fr"
        told = {"title": good.title, "description": good.description or None, "category": good.category}
        return {
            "value": 0.0,
            **event,
            **told,
            "price": f"{good.price:.2f}",
            "language": language,
            "at": np.datetime64(event["at"].removesuffix("+00:00"), "us").item(),
        }

    def _judged(self, shown: list[dict[str, Any]], dice: Random) -> Iterator[dict[str, Any]]:
        """One in ten of the shown pairs, as people would judge them."""
        for row in dice.sample(shown, len(shown) // 10):
            grade = float(true_grade(self.by_query[row["query"]], self.by_item[row["item_id"]]))
            nobody = {"request_id": None, "user_key": None, "position": 0, "value": 0.0, "language": None}
            yield {**row, **nobody, "event_id": f"j-{row['event_id']}", "kind": "judgement", "grade": grade}


def profile_of(engine: Engine, rows: pa.Table, number: int, folder: Path) -> Profile:
    """The profile of rows as a partition of them has it, had nothing been quarantined."""
    path = folder / f"day-{number}.parquet"
    pq.write_table(rows, path)
    report = {"rows_in": rows.num_rows, "rows": rows.num_rows, "quarantined": 0, "duplicates": 0, "checks": []}
    found = profile_rows(engine, path, day_of(number), "UTC", report)
    path.unlink()
    return found


Fault = Callable[[pa.Table], pa.Table]


def _set(rows: pa.Table, name: str, values: Any) -> pa.Table:
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), pc.cast(values, rows.schema.field(place).type))


def _chosen(rows: pa.Table, share: float) -> pa.Array:
    return pa.array(np.random.default_rng(5).random(rows.num_rows) < share)


def half_of_the_clicks(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.invert(pc.and_(pc.equal(rows["kind"], "click"), _chosen(rows, 0.5))))


def a_kind_gone(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.not_equal(rows["kind"], "click"))


def prices_times_100(rows: pa.Table) -> pa.Table:
    return _set(rows, "price", pc.cast(pc.multiply(pc.cast(rows["price"], pa.float64()), 100), pa.string()))


def all_at_one_hour(rows: pa.Table) -> pa.Table:
    start = pc.floor_temporal(rows["at"], unit="day")
    minutes = pc.subtract(rows["at"], pc.floor_temporal(rows["at"], unit="hour"))
    return _set(rows, "at", pc.add(pc.add(start, pa.scalar(timedelta(hours=3))), minutes))


def language_changed(rows: pa.Table) -> pa.Table:
    return _set(rows, "language", pc.if_else(pc.equal(rows["language"], "en"), "pl", rows["language"]))


def two_in_five_users_of_one_key(rows: pa.Table) -> pa.Table:
    known = [zlib.crc32((user or "").encode()) % 5 < 2 for user in rows["user_key"].to_pylist()]
    one = pc.and_(pa.array(known), pc.is_valid(rows["user_key"]))
    return _set(rows, "user_key", pc.if_else(one, "guest", rows["user_key"]))


def a_third_of_the_labels_shifted(rows: pa.Table) -> pa.Table:
    raised = pc.if_else(
        _chosen(rows, 1 / 3), pc.min_element_wise(pc.add(rows["grade"], 2), 3, skip_nulls=False), rows["grade"]
    )
    return _set(rows, "grade", raised)


def descriptions_gone(rows: pa.Table) -> pa.Table:
    return _set(rows, "description", pa.nulls(rows.num_rows, pa.string()))


def half_of_the_day(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.less(pc.hour(rows["at"]), 12))


def a_tenth_of_the_rows(rows: pa.Table) -> pa.Table:
    named = pc.coalesce(rows["request_id"], rows["event_id"]).to_pylist()
    return rows.filter(pa.array([zlib.crc32(name.encode()) % 10 == 0 for name in named]))


FAULTS: dict[str, Fault] = {
    "half of the clicks missing": half_of_the_clicks,
    "a kind gone": a_kind_gone,
    "prices times 100": prices_times_100,
    "all at one hour": all_at_one_hour,
    "the language changed": language_changed,
    "40 % of users under one key": two_in_five_users_of_one_key,
    "a third of the labels two grades up": a_third_of_the_labels_shifted,
    "no descriptions": descriptions_gone,
    "nothing after noon": half_of_the_day,
    "one search of ten": a_tenth_of_the_rows,
}


@dataclass(frozen=True)
class Judged:
    """What was found of one day: the names of what is not usual, the furthest first, and whether the day is refused."""

    number: int
    fault: str
    unusual: tuple[str, ...]
    refused: bool


def judge_days(shop: Shop, numbers: range, engine: Engine, folder: Path, *, faults_every: int) -> Iterator[Judged]:
    """Each day against those before it, and some of them with each fault; the first seven are no more than the past."""
    section, past = RecentSection(), list[Profile]()
    for number in numbers:
        rows = shop.rows(number)
        profile = profile_of(engine, rows, number, folder)
        if len(past) >= section.min_days:
            yield _judged(number, "", profile, past, section)
        if len(past) >= section.days and number % faults_every == 0:
            for name, planted in ((name, plant(rows)) for name, plant in FAULTS.items()):
                if planted.num_rows:
                    yield _judged(number, name, profile_of(engine, planted, number, folder), past, section)
        past = [*past, profile][-section.days :]


def _judged(number: int, fault: str, profile: Profile, past: list[Profile], section: RecentSection) -> Judged:
    found = [finding for finding in judge_against(profile, past, section) if finding.verdict != "usual"]
    found.sort(key=lambda finding: -finding.score / finding.limit)
    return Judged(number, fault, tuple(finding.name for finding in found), any(finding.refuses for finding in found))
