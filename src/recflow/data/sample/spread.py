"""Judged pairs as a shop would meet them: a query comes on several days, each time with all its products."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import mean
from typing import Self

from recflow.config.sections.data import SplitSection
from recflow.data.sample.shuffle import GRADE, Record, read_pairs, write_pairs
from recflow.data.sources.columns import text_id
from recflow.data.sources.spread import day_index
from recflow.data.split import split_of
from recflow.domain.queries import query_id
from recflow.errors import BadData

_DAYS_A_QUERY = 2
_MOST_QUERIES, _MOST_ROWS = 600, 40  # all that is played is trained on in minutes
_COLUMNS = ("query", "product_title", "product_description", GRADE)


@dataclass(frozen=True)
class JudgedQueries:
    """The queries of a CrowdFlower folder that can tell two orders of a long list apart; records by query id.

    They have two grades and `products` products at least; `rows` counts all rows of the folder.
    """

    products: int
    records: Mapping[str, Sequence[Record]]
    rows: int

    @classmethod
    def read(cls, folder: Path, products: int) -> Self:
        """Of at most 600 queries the first 40 rows each; raises what `read_pairs` raises."""
        found: dict[str, list[Record]] = defaultdict(list)
        for record in (record for records in read_pairs(folder).values() for record in records):
            found[query_id(record["query"])].append(record)
        cut = {query: found[query][:_MOST_ROWS] for query in sorted(found)}
        useful = [query for query, records in cut.items() if _can_tell(records, products)]
        return cls(products, {query: cut[query] for query in useful[:_MOST_QUERIES]}, sum(map(len, found.values())))

    def refuse_thin(self, days: int, split: SplitSection, least: int) -> None:
        """BadData, with counts, when a day would have fewer than `least` queries that train, or that are held out."""
        queries = Counter((day, split_of(query, split)) for query in self.records for day in _days_of(query, days))
        for day in range(days):
            train, held_out = queries[day, "train"], queries[day, "test"]
            if min(train, held_out) < least:
                raise BadData(
                    f"the judged pairs are too few: day {day + 1} of {days} is too thin",
                    expected=f"{least} queries that train and {least} held out, each with {self.products} products or"
                    " more and two grades",
                    seen=f"{train} that train and {held_out} held out, of {self.rows} rows in all",
                    then="nothing is trained",
                    action="give more judged queries, or more products a query",
                )  # fmt: skip

    def spread(self, target: Path, days: int) -> int:
        """Write the pairs to `target`, each query on two of `days` days; the rows written.

        The `crowdflower` source gives a row its day by a hash of its id: ids get an ending that leads to the day.
        """
        written = [
            {"id": _id_on(day, record["id"], days)} | {name: record.get(name, "") for name in _COLUMNS}
            for query, records in self.records.items()
            for day in _days_of(query, days)
            for record in records
        ]
        write_pairs(target / "pairs.csv", written)
        return len(written)


def _can_tell(records: Sequence[Record], products: int) -> bool:
    """Whether there are products enough, and two whose grades, averaged as labels are, differ."""
    grades: dict[str, list[int]] = defaultdict(list)
    for record in records:
        grades[text_id(record["product_title"])].append(int(record[GRADE]))
    return len(grades) >= products and len({mean(given) for given in grades.values()}) > 1


def _days_of(query: str, days: int) -> list[int]:
    first = day_index(query, days)
    return [(first + later) % days for later in range(_DAYS_A_QUERY)]


def _id_on(day: int, row_id: str, days: int) -> str:
    endings = (f"{row_id}-{ending}" for ending in count())
    return next(name for name in endings if day_index(name, days) == day)
