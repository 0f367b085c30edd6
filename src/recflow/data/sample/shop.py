"""Writes the generated shop as a folder that the `shop` source reads."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.config.sections.data import SplitSection
from recflow.data.sample.behaviour import ETA, Day, candidates, day_events
from recflow.data.sample.catalogue import Good, Wish, make_goods, make_wishes, true_grade
from recflow.data.sample.faults import plant
from recflow.data.split import split_of
from recflow.domain.queries import query_id


@dataclass(frozen=True)
class SampleShop:
    """What to generate; equal values give equal bytes.

    150 queries a day leave more than twenty held out, without which a gate can say nothing on the first day.
    `rows` are impressions a day, about. On `shuffled_days` outcomes of queries that train are joined to the wrong
    items; queries that are held out by `split` stay clean, so that a gate can still judge. On `reversed_days` those of
    every query are. `swaps` is the share of searches that try another item first, in an order that stays otherwise;
    None: every search has an order of its own. `eta` is how shoppers look: k**-eta is the chance at position k.
    """

    days: int = 14
    seed: int = 7
    rows: int = 24_000
    queries: int = 150
    users: int = 2_000
    first_day: date = date(2011, 1, 1)
    shuffled_days: frozenset[date] = frozenset()
    reversed_days: frozenset[date] = frozenset()
    faults: bool = True
    split: SplitSection = field(default_factory=SplitSection)
    swaps: float | None = None
    eta: float = ETA


def write_shop(shop: SampleShop, folder: Path) -> dict[str, int]:
    """Write the shop into `folder` and give the events of each day by its label.

    `events/<day>.jsonl`, `catalogue/<day>.jsonl`; apart from what a source reads: `truth.parquet`
    (query, item_id, grade) and `faults.jsonl` (day, event_id, fault, check, effect).
    """
    goods, wishes = make_goods(shop.seed), make_wishes(shop.seed)
    users = [f"u{number:05d}" for number in range(1, shop.users + 1)]
    written: dict[str, int] = {}
    ledger: list[dict[str, str]] = []
    for number in range(shop.days):
        date_of = shop.first_day + timedelta(days=number)
        day = Day(number, date_of, shop.rows, shop.queries, users, shop.seed, shop.swaps, shop.eta)
        label = day.date.isoformat()
        events, faults = _events(shop, day, goods, wishes)
        on_sale = [good for good in goods if good.since <= number]
        _write_jsonl(folder / "catalogue" / f"{label}.jsonl", map(_listed, on_sale))
        _write_jsonl(folder / "events" / f"{label}.jsonl", events)
        ledger += [{"day": label, **fault} for fault in faults]
        written[label] = len(events)
    _write_jsonl(folder / "faults.jsonl", ledger)
    _write_truth(folder / "truth.parquet", shop, goods, wishes)
    return written


def _events(
    shop: SampleShop, day: Day, goods: Sequence[Good], wishes: Sequence[Wish]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    events = day_events(day, goods, wishes, _spoilt(shop, day.date, wishes))
    if not shop.faults:
        return events, []
    return plant(events, [good.item_id for good in goods if good.since <= day.number], f"{shop.seed}-{day.number}")


def _spoilt(shop: SampleShop, day: date, wishes: Sequence[Wish]) -> frozenset[str]:
    """The queries whose outcomes go to the wrong items on a day."""
    if day in shop.reversed_days:
        return frozenset(wish.text for wish in wishes)
    if day not in shop.shuffled_days:
        return frozenset()
    return frozenset(wish.text for wish in wishes if split_of(query_id(wish.text), shop.split) != "test")


def _listed(good: Good) -> dict[str, Any]:
    listed = ("item_id", "title", "description", "brand", "category", "price")
    return {name: getattr(good, name) for name in listed} | {"attributes": dict(good.features)}


def _write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_truth(path: Path, shop: SampleShop, goods: Sequence[Good], wishes: Sequence[Wish]) -> None:
    rows: dict[tuple[str, str], int] = {}
    for number in range(shop.days):
        on_sale = [good for good in goods if good.since <= number]
        for wish in wishes:
            for good in candidates(wish, on_sale, shop.seed):
                rows[wish.text, good.item_id] = true_grade(wish, good)
    columns = {
        "query": [query for query, _ in rows],
        "item_id": [item for _, item in rows],
        "grade": list(rows.values()),
    }
    pq.write_table(pa.table(columns), path)
