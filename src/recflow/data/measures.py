"""What of a profile is compared with other days: single numbers, and how rows lie over values.

What happens within one search is alike, so that searches count as the independent units of a day, not rows (Kish 1965,
Survey Sampling, 5.4: the variance of a share of clusters is up to the size of a cluster times that of single ones).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recflow.config.sections.recent import Aspect
from recflow.data.profile import Numbers, Profile
from recflow.domain.drift import Reading, of_amount, of_count, of_ratio, of_share

_REFERENTIAL = ("outcome_was_shown", "item_known")
_ALWAYS_THERE = ("event_id", "at", "kind")
# What a person would not look at, however sure it is, on the scale on which it is compared: 28, 16 and 22 % of a count,
# 16 % of an amount, a share as far from another as 1 % from none or 60 % from 50 %, an hour.
_LEAST_VOLUME, _LEAST_RATE, _LEAST_DISTINCT, _LEAST_AMOUNT, _LEAST_SHARE, _LEAST_HOURS = 0.25, 0.15, 0.2, 0.15, 0.2, 1.0
_ENOUGH_AMOUNTS = 10  # of fewer values the deviation is luck


@dataclass(frozen=True)
class Measure:
    """A number of a day, and the distance below which nobody cares."""

    aspect: Aspect
    reading: Reading
    least: float


@dataclass(frozen=True)
class Shape:
    """How rows lie over the values of a column: rows by value, of so many independent units."""

    aspect: Aspect
    cells: Mapping[str, float]
    units: float


def units(profile: Profile, rows: float) -> float:
    """How many independent ones `rows` rows are."""
    return min(rows, profile.requests) if profile.requests else rows


def measures(profile: Profile, kinds: frozenset[str]) -> dict[str, Measure]:
    """The numbers of a day by name. `kinds` are those of all days that are compared: one of them may be gone here."""
    found = {"rows": Measure("volume", of_count(profile.rows_in, units(profile, profile.rows_in)), _LEAST_VOLUME)}
    found |= dict(_kinds(profile, kinds))
    found |= dict(_filled(profile))
    found |= dict(_unique(profile))
    found |= dict(_checks(profile))
    found |= dict(_amounts(profile))
    found |= {
        "hours before the first event": _hours(profile, profile.first_s),
        "hours after the last event": _hours(profile, profile.last_s),
    }
    return found


def shapes(profile: Profile) -> dict[str, Shape]:
    """How the rows of a day lie over hours, numbers and values, by name."""
    hours = [sum(rows) for rows in zip(*(kind.hours for kind in profile.kinds.values()), strict=True)]
    found = {"hour": _shape(profile, "distribution", {f"{hour:02}": rows for hour, rows in enumerate(hours) if rows})}
    for name, values in profile.values.items():
        cells = values.rows | ({"others": values.others} if values.others else {})
        found[name] = _shape(profile, "balance" if name == "grade" else "distribution", cells)
    for name, numbers in _numbers(profile):
        cells = {}
        for size, rows in numbers.sizes.items():
            cells[str(size // 2)] = cells.get(str(size // 2), 0) + rows
        found[name] = _shape(profile, "distribution", cells)
    return {name: shape for name, shape in found.items() if shape.cells}


def _shape(profile: Profile, aspect: Aspect, cells: Mapping[str, float]) -> Shape:
    return Shape(aspect, cells, units(profile, sum(cells.values())))


def _numbers(profile: Profile) -> Iterator[tuple[str, Numbers]]:
    for kind, of_kind in profile.kinds.items():
        for column, numbers in of_kind.numbers.items():
            yield f"{column} of {kind}", numbers


def _kinds(profile: Profile, kinds: frozenset[str]) -> Iterator[tuple[str, Measure]]:
    """Rows of each kind for each search; where nobody tells searches apart, against those of all other kinds."""
    for kind in sorted(kinds) if profile.requests or len(kinds) > 1 else ():
        rows = profile.kinds[kind].rows if kind in profile.kinds else 0
        base = profile.requests or profile.rows - rows
        yield f"{kind} rows", Measure("kinds", of_ratio(rows, base), _LEAST_RATE)


def _filled(profile: Profile) -> Iterator[tuple[str, Measure]]:
    for kind, of_kind in profile.kinds.items():
        for column, rows in of_kind.filled.items():
            if column not in _ALWAYS_THERE:
                reading = of_share(rows / of_kind.rows, units(profile, of_kind.rows))
                yield f"{column} of {kind} filled", Measure("columns", reading, _LEAST_SHARE)


def _unique(profile: Profile) -> Iterator[tuple[str, Measure]]:
    told = of_share(profile.duplicates / profile.rows_in, units(profile, profile.rows_in))
    yield "rows told again", Measure("uniqueness", told, _LEAST_SHARE)
    if profile.requests:
        users = of_ratio(profile.counts["user_key"].distinct, profile.requests)
        yield "users a request", Measure("uniqueness", users, _LEAST_DISTINCT)
    for name, shown in (("user_key", "user"), ("query", "query"), ("item_id", "item")):
        counts = profile.counts[name]
        if counts.distinct:
            share = of_share(counts.most / profile.rows, units(profile, profile.rows))
            yield f"rows of the commonest {shown}", Measure("uniqueness", share, _LEAST_SHARE)
        if name != "user_key":
            distinct = of_count(counts.distinct, counts.distinct)
            yield f"different {name}", Measure("uniqueness", distinct, _LEAST_DISTINCT)


def _checks(profile: Profile) -> Iterator[tuple[str, Measure]]:
    bad = of_share(profile.quarantined / profile.rows_in, units(profile, profile.rows_in))
    yield "quarantined", Measure("quality", bad, _LEAST_SHARE)
    for name, (broken, judged) in profile.checks.items():
        aspect: Aspect = "referential" if name in _REFERENTIAL else "quality"
        yield f"breaks {name}", Measure(aspect, of_share(broken / judged, units(profile, judged)), _LEAST_SHARE)


def _amounts(profile: Profile) -> Iterator[tuple[str, Measure]]:
    for name, numbers in _numbers(profile):
        values = units(profile, numbers.count)
        if values >= _ENOUGH_AMOUNTS:
            yield f"typical {name}", Measure("distribution", of_amount(*numbers.logarithms, values), _LEAST_AMOUNT)


def _hours(profile: Profile, seconds: float) -> Measure:
    """The wait for the first of so many events is about as long as its deviation: a day over their number."""
    deviation = 24 / units(profile, profile.rows)
    return Measure("freshness", Reading("plain", seconds / 3600, deviation**2), _LEAST_HOURS)
