"""What differs between two days, or between two deliveries of one, and whether that is more than chance and habit."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.config.sections.recent import Aspect
from recflow.data.heads import Head, HeadHistory
from recflow.data.measures import Measure, Shape, measures, shapes
from recflow.data.pins import pin_past
from recflow.data.profile import PROFILE, Profile, profile_rows
from recflow.data.recent import LEAST_DIVERGENCE, by_chance, limit_of, past_days, usual_divergence
from recflow.data.rows import ROWS
from recflow.domain.drift import departure_of_two, divergence, plainly
from recflow.domain.intervals import day_interval
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import constant, when
from recflow.errors import BadConfiguration
from recflow.storage import ArtifactStore

_SHOWN = 5  # days that an error names


@dataclass(frozen=True)
class Day:
    """A delivery of a day, opened: `name` is the day with its delivery's number, `folder` its partition."""

    name: str
    interval: Interval
    folder: Path
    profile: Profile


@dataclass(frozen=True)
class Difference:
    """A number of both days; `score` is their distance in standard deviations of the difference of two usual days.

    `beyond`: more than chance and the usual spread explain. Of a distribution `first` is 0 and `second` the divergence.
    """

    name: str
    aspect: Aspect
    first: float
    second: float
    score: float
    beyond: bool


@dataclass(frozen=True)
class RowsBetween:
    """Rows of two deliveries: in both alike, in both by their identity and not alike, and in one of them only."""

    alike: int
    changed: int
    only_first: int
    only_second: int


@dataclass(frozen=True)
class Comparison:
    """All that differs. `days` are the past days whose spread counts; with none, `beyond` means more than chance.

    `kinds` and `checks` have, by name, a number of each day: rows, and rows that break a check. `columns` says, by
    column, what one day alone has. `rows` is there for two deliveries of one day.
    """

    first: str
    second: str
    days: int
    kinds: dict[str, tuple[int, int]]
    checks: dict[str, tuple[int, int]]
    columns: dict[str, str]
    differences: tuple[Difference, ...]
    rows: RowsBetween | None


def find_delivery(heads: HeadHistory, recipe: Recipe, day: str) -> Head:
    """The head that `DAY` (the current one) or `DAY@N` names; BadConfiguration, with what there is, for another."""
    label, _, number = day.partition("@")
    label = day_interval(label, recipe.schedule.timezone).label
    history = heads.history(label)
    if not history:
        newest = [
            head.interval.label
            for head, _ in zip(heads.newest_first(datetime.max.replace(tzinfo=UTC)), range(_SHOWN), strict=False)
        ]
        raise BadConfiguration(
            f"{label} of {recipe.name} has no partition",
            expected=f"a day with one, such as {', '.join(newest)}" if newest else "a day that was validated",
            seen=day,
        )
    found = [head for head in history if str(head.seq) == number] if "@" in day else history[-1:]
    if not found:
        raise BadConfiguration(
            f"there is no such delivery of {label}", expected=f"{label}@1 … {label}@{history[-1].seq}", seen=day
        )
    return found[0]


def compare_days(
    engine: Engine, artifacts: ArtifactStore, recipe: Recipe, heads: HeadHistory, days: tuple[str, str]
) -> Comparison:
    """What differs between two deliveries, each given as in `find_delivery`."""
    first, second = (find_delivery(heads, recipe, day) for day in days)
    if first.partition.digest == second.partition.digest:
        raise BadConfiguration(
            "a delivery was to be compared with itself",
            expected="two days, or DAY@1 and DAY@2",
            seen=" and ".join(days),
        )
    one, other = (_open(engine, artifacts, recipe, head) for head in (first, second))
    oldest = min(one.interval, other.interval, key=lambda interval: interval.start)
    known = past_days(artifacts, pin_past(recipe, oldest, heads))
    past = [day.profile for day in known if day.profile]
    past = past if len(past) >= recipe.data.recent.min_days else []
    return Comparison(
        first=one.name,
        second=other.name,
        days=len(past),
        kinds=_kinds(one.profile, other.profile),
        checks=_checks(one.profile, other.profile),
        columns=_columns(one, other),
        differences=tuple(_differences(one.profile, other.profile, past, recipe)),
        rows=_rows(engine, one, other, recipe) if one.interval.label == other.interval.label else None,
    )


def _open(engine: Engine, artifacts: ArtifactStore, recipe: Recipe, head: Head) -> Day:
    """A delivery with its profile, which is made now for a partition that is older than profiles."""
    folder, label = artifacts.fetch(head.partition), head.interval.label
    if (folder / PROFILE).exists():
        profile = Profile.model_validate_json((folder / PROFILE).read_bytes())
    else:
        report = json.loads((folder / "validation.json").read_bytes())
        zone = recipe.schedule.timezone
        profile = profile_rows(engine, folder / ROWS, head.interval, zone, report)
    return Day(f"{label}@{head.seq}", head.interval, folder, profile)


def _kinds(one: Profile, other: Profile) -> dict[str, tuple[int, int]]:
    names = sorted(one.kinds.keys() | other.kinds.keys())
    rows = [{name: kind.rows for name, kind in day.kinds.items()} for day in (one, other)]
    told = {name: (getattr(one, name), getattr(other, name)) for name in ("rows_in", "quarantined", "duplicates")}
    return told | {name: (rows[0].get(name, 0), rows[1].get(name, 0)) for name in names}


def _checks(one: Profile, other: Profile) -> dict[str, tuple[int, int]]:
    """The checks that a different number of rows breaks."""
    broken = [{name: rows for name, (rows, _) in day.checks.items()} for day in (one, other)]
    found = {name: (broken[0].get(name, 0), broken[1].get(name, 0)) for name in sorted(broken[0] | broken[1])}
    return {name: rows for name, rows in found.items() if rows[0] != rows[1]}


def _columns(one: Day, other: Day) -> dict[str, str]:
    """Columns that one partition lacks, or in which it has no value of a kind that both have."""
    found = {}
    for kind in one.profile.kinds.keys() & other.profile.kinds.keys():
        filled = [day.profile.kinds[kind].filled for day in (one, other)]
        for column in filled[0] | filled[1]:
            rows = [counts.get(column, 0) for counts in filled]
            if bool(rows[0]) != bool(rows[1]):
                has = one.name if rows[0] else other.name
                found[f"{column} of {kind}"] = f"has values in {has} alone: {max(rows)}"
    return dict(sorted(found.items()))


def _differences(one: Profile, other: Profile, past: Sequence[Profile], recipe: Recipe) -> list[Difference]:
    """Of every number and distribution that both days have; the furthest first."""
    kinds = frozenset(kind for day in (one, other, *past) for kind in day.kinds)
    told, numbers = [measures(day, kinds) for day in past], (measures(one, kinds), measures(other, kinds))
    limit = limit_of(len(past) or 1_000, recipe.data.recent)
    found = [
        _of_numbers(name, numbers[0][name], numbers[1][name], [day[name] for day in told if name in day], limit)
        for name in numbers[0]
        if name in numbers[1]
    ]
    seen, cells = [(day.label, shapes(day)) for day in past], (shapes(one), shapes(other))
    for name in cells[0].keys() & cells[1].keys():
        days = [(label, day[name]) for label, day in seen if name in day]
        found.append(_of_shapes(name, cells[0][name], cells[1][name], days, limit))
    return sorted(found, key=lambda one: (-one.score, one.name))


def _of_numbers(name: str, one: Measure, other: Measure, past: Sequence[Measure], limit: float) -> Difference:
    found = departure_of_two(one.reading, other.reading, [day.reading for day in past])
    first, second = (round(plainly(day.reading.scale, day.reading.size), 6) for day in (one, other))
    beyond = found.score > limit and found.distance > one.least
    return Difference(name, one.aspect, first, second, round(found.score, 2), beyond)


def _of_shapes(name: str, one: Shape, other: Shape, past: Sequence[tuple[str, Shape]], limit: float) -> Difference:
    labels, days = [label for label, _ in past], [shape for _, shape in past]
    usual = usual_divergence(labels, days) if len(days) > 1 else 0.0
    seen = divergence(one.cells, other.cells)
    score = math.sqrt(seen / max(2 * usual + by_chance(one, other), 1e-12))
    title = f"distribution of {name}"
    return Difference(
        title, one.aspect, 0.0, round(seen, 6), round(score, 2), score > limit and seen > LEAST_DIVERGENCE
    )


def _rows(engine: Engine, one: Day, other: Day, recipe: Recipe) -> RowsBetween:
    paths = (one.folder / ROWS, other.folder / ROWS)
    return rows_between(engine, *paths, recipe.data.identity or ("event_id",))


def rows_between(engine: Engine, one: Path, other: Path, identity: Sequence[str]) -> RowsBetween:
    """How many rows of two partitions are the same ones. Columns that one of them lacks do not count."""
    first, second = engine.read([one]), engine.read([other])
    columns = [name for name in first.columns if name in second.columns]
    here = first.select(*columns, in_first=constant(1), in_second=constant(0))
    there = second.select(*columns, in_first=constant(0), in_second=constant(1))
    both = here.union(there)
    rows = engine.keep(both.group_by(columns).aggregate(first=both.in_first.sum(), second=both.in_second.sum()))
    alike = _sums(engine, rows, alike=_least(rows))["alike"]
    unlike = rows.mutate(first=rows["first"] - _least(rows), second=rows["second"] - _least(rows))
    named = unlike.group_by(list(identity)).aggregate(first=unlike["first"].sum(), second=unlike["second"].sum())
    found = _sums(engine, named, changed=_least(named), first=named["first"], second=named["second"])
    changed = found["changed"]
    return RowsBetween(alike, changed, found["first"] - changed, found["second"] - changed)


def _least(rows: Table) -> Value:
    return when(rows["first"] < rows["second"], rows["first"], rows["second"])


def _sums(engine: Engine, rows: Table, **columns: Value) -> dict[str, int]:
    found = engine.fetch(rows.aggregate(**{name: column.sum() for name, column in columns.items()})).to_pylist()[0]
    return {name: int(total or 0) for name, total in found.items()}


def tables(found: Comparison) -> Iterator[str]:
    """Lines of tables that a person can read, of each thing that differs; what does not is counted."""
    days = (found.first, found.second)
    yield from _table(
        ("rows", *days, "difference"), [(name, *rows, _change(*rows)) for name, rows in found.kinds.items()]
    )
    if rows := found.rows:
        yield (
            f"{rows.alike} rows are in both alike, {rows.changed} in both but changed,"
            f" {rows.only_first} in {found.first} alone, {rows.only_second} in {found.second} alone"
        )
    beyond = [one for one in found.differences if one.beyond]
    yield f"{len(beyond)} of {len(found.differences)} numbers differ by more than {_explained(found.days)}"
    yield ""
    told = [(one.name, one.aspect, f"{one.first:.4g}", f"{one.second:.4g}", f"{one.score:.1f}") for one in beyond]
    yield from _table(("number", "aspect", *days, "deviations"), told)
    yield from _table(("column", ""), [*found.columns.items()])
    yield from _table(("rows that break a check", *days), [(name, *rows) for name, rows in found.checks.items()])


def _explained(days: int) -> str:
    if days:
        return f"chance and the usual spread of {days} days before explain"
    return "chance explains; too few days before are known to tell the usual spread"


def _change(first: int, second: int) -> str:
    return "" if first == second else f"{second - first:+d}" + (f" ({second / first - 1:+.0%})" if first else "")


def _table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Lines of columns, numbers to the right; nothing without rows."""
    if rows:
        cells = [[str(cell) for cell in row] for row in (header, *rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            first, *rest = (
                cell.ljust(width) if not number else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            yield "  ".join([first, *rest]).rstrip()
        yield ""
