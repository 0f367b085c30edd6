"""Judged pairs as a shop would meet them: a query comes on several days, each time with all its products."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from recflow.config.sections.data import SplitSection
from recflow.data.sample.shuffle import GRADE, read_pairs, write_pairs
from recflow.data.sources.crowdflower import Record, day_index, title_item_id
from recflow.data.split import query_id, split_of
from recflow.errors import BadData

_DAYS_A_QUERY = 2


@dataclass(frozen=True)
class Need:
    """What every day must have: `queries` that train and as many held out, of `products` and two grades at least."""

    queries: int
    products: int


def spread_queries(folder: Path, target: Path, days: int) -> int:
    """Write a CrowdFlower folder's pairs to `target` so that each query comes on two of `days` days; the rows written.

    The `crowdflower` source gives a row its day by a hash of its id: ids get an ending that leads to the wanted day.
    Raises what `read_pairs` raises.
    """
    rows = 0
    for name, records in read_pairs(folder).items():
        written = [
            record | {"id": _id_on(day, record["id"], days)}
            for record in records
            for day in _days_of(query_id(record["query"]), days)
        ]
        write_pairs(target / name, written)
        rows += len(written)
    return rows


def refuse_thin(files: Mapping[str, Sequence[Record]], days: int, split: SplitSection, need: Need) -> None:
    """BadData, with counts, when `spread_queries` would give a day fewer queries than needed."""
    for day, found in enumerate(_useful_queries(files, days, split, need.products), start=1):
        thin = [f"{found[part]} {name}" for part, name in _PARTS.items() if found[part] < need.queries]
        if thin:
            raise BadData(
                f"the judged pairs are too few: day {day} of {days} is too thin",
                expected=f"{need.queries} queries that train and {need.queries} held out, each with"
                f" {need.products} products or more and two grades",
                seen=f"{' and '.join(thin)}, {sum(map(len, files.values()))} rows in all",
                then="nothing is trained",
                action="give more judged queries, or more products a query",
            )  # fmt: skip


_PARTS = {"train": "that train", "test": "held out"}


def _useful_queries(
    files: Mapping[str, Sequence[Record]], days: int, split: SplitSection, products: int
) -> list[dict[str, int]]:
    """By day, how many queries of each split have enough products and different grades."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for record in (record for records in files.values() for record in records):
        grades[query_id(record["query"])][title_item_id(record["product_title"])] = int(record[GRADE])
    found = [dict.fromkeys(("train", "validation", "test"), 0) for _ in range(days)]
    for query, items in grades.items():
        if len(items) >= products and len(set(items.values())) > 1:
            for day in _days_of(query, days):
                found[day][split_of(query, split)] += 1
    return found


def _days_of(query: str, days: int) -> list[int]:
    first = day_index(query, days)
    return [(first + later) % days for later in range(_DAYS_A_QUERY)]


def _id_on(day: int, row_id: str, days: int) -> str:
    endings = (f"{row_id}-{ending}" for ending in count())
    return next(name for name in endings if day_index(name, days) == day)
