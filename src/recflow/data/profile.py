"""What a day looks like, in a few kilobytes whatever its size: what days are compared by.

A profile is made of the rows that a partition keeps, once, by the engine, and is kept beside them as `profile.json`.
There is no id in it and no text that a person wrote: people, queries and items are counted, not named.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import log, sqrt
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.manifests import Interval
from recflow.data.rows import CARRIED, COLUMNS
from recflow.domain.free_text import told_of_nobody
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import (
    hour,
    naive,
    nearest_whole,
    number,
    real,
    size_class,
    size_of_class,
    when,
)

PROFILE = "profile.json"
COUNTED = ("user_key", "query", "item_id", "request_id")
NUMERIC = ("value", "position", "price")
VALUED = ("grade", "language", "category", "rating", "seller")
_HASHED = ("seller",)  # who sells may be a person
_COLUMNS = (*COLUMNS, *CARRIED)
_HEAVIEST = 30
_LONGEST_NAME = 40
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Numbers(Frozen):
    """How the numbers above zero of a column lie. `sizes` are rows by size class: four classes a doubling."""

    count: int
    mean: float
    deviation: float
    least: float
    most: float
    sizes: dict[int, int]

    @property
    def logarithms(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithms, from the size classes: one huge number hardly moves them."""
        sizes = [(log(size_of_class(size)), rows) for size, rows in self.sizes.items()]
        mean = sum(size * rows for size, rows in sizes) / self.count
        return mean, sqrt(sum(rows * (size - mean) ** 2 for size, rows in sizes) / self.count)

    @property
    def quantiles(self) -> dict[float, float]:
        """Quantiles from the size classes: right to a tenth of their value, like DDSketch's (Masson et al. 2019)."""
        found, seen, wanted = {}, 0, list(_QUANTILES)
        for size, rows in sorted(self.sizes.items()):
            seen += rows
            while wanted and seen >= wanted[0] * self.count:
                middle = size_of_class(size)
                found[wanted.pop(0)] = min(self.most, max(self.least, middle))
        return found


class OfKind(Frozen):
    """Rows of one kind: in how many each column has a value, how its numbers lie, and when they happened.

    `hours` are rows by hour of the local day, 24 of them.
    """

    rows: int
    filled: dict[str, int]
    numbers: dict[str, Numbers]
    hours: tuple[int, ...]


class Counts(Frozen):
    """How many different values a column has, and how many rows the commonest of them."""

    distinct: int = 0
    most: int = 0


class Values(Frozen):
    """The commonest values of a column of few values, with their rows, and the rows of all others."""

    rows: dict[str, int]
    others: int


class Profile(Frozen):
    """One day. `checks` has, of each check, the rows that broke it and those it was about.

    `first_s` and `last_s` are seconds from the start of the interval to its first event and from its last one to the
    end; below zero where outcomes came later than it.
    """

    schema_version: Literal[1] = 1
    label: str
    rows_in: int
    rows: int
    quarantined: int
    duplicates: int
    first_s: float
    last_s: float
    kinds: dict[str, OfKind]
    counts: dict[str, Counts]
    values: dict[str, Values]
    checks: dict[str, tuple[int, int]]

    @property
    def requests(self) -> int:
        """How many searches the day had; 0 where rows do not tell."""
        return self.counts["request_id"].distinct


def profile_rows(engine: Engine, path: Path, interval: Interval, timezone: str, report: Mapping[str, Any]) -> Profile:
    """The profile of a partition's rows at `path`; `report` is what its validation found."""
    rows = engine.read([path])
    rows = rows.mutate(**_measured(rows))
    moments = engine.fetch(rows.group_by("kind").aggregate(**_moments(rows))).to_pylist()
    filled = {name for name in _COLUMNS if any(found.get(f"filled_{name}") for found in moments)}
    sizes = {name: _by_kind(engine, rows, f"size_{name}") for name in NUMERIC if name in filled}
    hours = _by_kind(engine, rows, "hour")
    kinds = {
        found["kind"]: _of_kind(
            found,
            {name: by_kind.get(found["kind"], {}) for name, by_kind in sizes.items()},
            _local_hours(hours.get(found["kind"], {}), timezone),
        )
        for found in moments
    }
    return Profile(
        label=interval.label,
        **{name: report[name] for name in ("rows_in", "rows", "quarantined", "duplicates")},
        first_s=(_in_utc(min(found["first"] for found in moments)) - interval.start).total_seconds(),
        last_s=(interval.end - _in_utc(max(found["last"] for found in moments))).total_seconds(),
        kinds=dict(sorted(kinds.items())),
        counts={name: _counts(engine, rows, name) if name in filled else Counts() for name in COUNTED},
        values={name: _commonest(engine, rows, name) for name in VALUED if name in filled},
        checks={check["name"]: (check["broken"], check["judged"]) for check in report["checks"] if check["judged"]},
    )


def _measured(rows: Table) -> dict[str, Value]:
    """Columns to count by, beside those of the rows. A value or a position of 0 is none."""
    numbers = {"value": rows.value, "position": rows.position}
    if "price" in rows.columns:
        numbers["price"] = number(rows.price)
    above = {f"number_{name}": when(value > 0, real(value)) for name, value in numbers.items()}
    sizes = {f"size_{name}": size_class(value) for name, value in numbers.items()}
    return above | sizes | {"hour": hour(naive(rows["at"])), "grade": nearest_whole(rows.grade)}


def _moments(rows: Table) -> dict[str, Value]:
    """Of each kind: its rows, how many of them have a value in each column, and how its numbers lie."""
    numbers = [name for name in NUMERIC if name in rows.columns]
    moment = rows["at"]
    filled = {name: rows[f"number_{name}" if name in numbers else name] for name in _COLUMNS if name in rows.columns}
    found = {"rows": rows.count(), "first": moment.min(), "last": moment.max()}
    found |= {f"filled_{name}": column.count() for name, column in filled.items()}
    for name in numbers:
        column = rows[f"number_{name}"]
        found |= {f"mean_{name}": column.mean(), f"variance_{name}": column.var()}
        found |= {f"least_{name}": column.min(), f"most_{name}": column.max()}
    return found


def _by_kind(engine: Engine, rows: Table, column: str) -> dict[str, dict[Any, int]]:
    """Rows of each kind by the values of a column."""
    counted = rows.filter(rows[column].notnull()).group_by(["kind", column]).aggregate(rows=lambda same: same.count())
    found: dict[str, dict[int, int]] = {}
    for row in engine.fetch(counted.order_by(["kind", column])).to_pylist():
        found.setdefault(row["kind"], {})[row[column]] = row["rows"]
    return found


def _of_kind(found: Mapping[str, Any], sizes: Mapping[str, dict[int, int]], hours: tuple[int, ...]) -> OfKind:
    numbers = {
        name: Numbers(
            count=sum(by_size.values()),
            mean=_brief(found[f"mean_{name}"]),
            deviation=_brief((found[f"variance_{name}"] or 0.0) ** 0.5),
            least=_brief(found[f"least_{name}"]),
            most=_brief(found[f"most_{name}"]),
            sizes=by_size,
        )
        for name, by_size in sizes.items()
        if by_size
    }
    filled = {name: found[f"filled_{name}"] for name in _COLUMNS if f"filled_{name}" in found}
    return OfKind(rows=found["rows"], filled=filled, numbers=numbers, hours=hours)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _brief(value: float) -> float:
    """Six digits: the rest differs from run to run, with the order in which an engine adds."""
    return float(f"{value:.6g}")


def _local_hours(by_hour: Mapping[datetime, int], timezone: str) -> tuple[int, ...]:
    """Rows by hour of the clock, 24 of them; where clocks are half an hour off, an hour begins half an hour earlier."""
    zone, found = ZoneInfo(timezone), [0] * 24
    for start, rows in by_hour.items():
        found[(_in_utc(start) + timedelta(minutes=30)).astimezone(zone).hour] += rows
    return tuple(found)


def _counts(engine: Engine, rows: Table, column: str) -> Counts:
    grouped = rows.filter(rows[column].notnull()).group_by(column).aggregate(rows=lambda same: same.count())
    (found,) = engine.fetch(grouped.aggregate(distinct=grouped.count(), most=grouped.rows.max())).to_pylist()
    return Counts(distinct=found["distinct"], most=found["most"])


def _commonest(engine: Engine, rows: Table, column: str) -> Values:
    grouped = rows.filter(rows[column].notnull()).group_by(column).aggregate(rows=lambda same: same.count())
    total = engine.fetch(grouped.aggregate(rows=grouped.rows.sum())).to_pylist()[0]["rows"] or 0
    first = engine.fetch(grouped.order_by([grouped.rows.desc(), grouped[column]]).limit(_HEAVIEST)).to_pylist()
    named: dict[str, int] = {}
    for row in first:
        name = _name(row[column], hidden=column in _HASHED)
        named[name] = named.get(name, 0) + row["rows"]
    return Values(rows=named, others=total - sum(named.values()))


def _name(value: Any, *, hidden: bool) -> str:
    """A value as it may be shown; its hash where it may tell of a person, or is a text instead of a name."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if hidden or len(text) > _LONGEST_NAME or told_of_nobody(text) != text:
        return "#" + hashlib.sha256(text.encode()).hexdigest()[:12]
    return text
