"""A feed's convention is told from bad luck: bad rows that fall on one value are no accident, and the day is refused.

Positions that count from 0 lose the first item of every search, a scale of five exactly the best items, a wrong zone an
hour of the day. Each is few rows, below every tolerance, and the same ones each day.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from recflow.data.refusals import Refusal
from recflow.data.rows import PLACE
from recflow.engine import Engine, Table
from recflow.engine.expressions import hour
from recflow.errors import BadData

# What bad rows are counted by. `hour` is that of the row's time in UTC.
_COUNTED_BY = ("kind", "position", "grade", "hour", "source_file")
_LEAST_ROWS = 20  # of one value: fewer are told as bad rows, not as a convention
_NEARLY_ALL = 0.9
_LEAST_SHARE = 0.01  # of the day's rows; a file is a delivery of its own, however small


@dataclass(frozen=True)
class Counted:
    """Rows of the day with one value of a column, how many of them are in quarantine, and most often why."""

    column: str
    value: str
    rows: int
    quarantined: int
    reason: str


def count_loss(engine: Engine, rows: Table, refused: Table) -> list[Counted]:
    """The rows by each value that they are counted by; `refused` are places of rows with their `reasons`.

    Only of columns in which some value has enough bad rows to be told.
    """
    lost = engine.keep(rows.inner_join(refused, PLACE).mutate(hour=hour(rows["at"])))
    counts: list[Counted] = []
    for column in _COUNTED_BY:
        bad = _lost_by(engine, lost, column)
        if any(sum(reasons.values()) >= _LEAST_ROWS for reasons in bad.values()):
            counts += _counted(engine, rows.mutate(hour=hour(rows["at"])), column, bad)
    return counts


def _lost_by(engine: Engine, lost: Table, column: str) -> dict[Any, Counter[str]]:
    """How many rows were lost of each value, by reasons."""
    grouped = lost.group_by([column, "reasons"]).aggregate(lost=lambda rows: rows.count())
    found: dict[Any, Counter[str]] = defaultdict(Counter)
    for value, reasons, count in zip(*engine.fetch(grouped).to_pydict().values(), strict=True):
        if value is not None:
            found[value][", ".join(reasons)] += count
    return found


def _counted(engine: Engine, rows: Table, column: str, bad: Mapping[Any, Counter[str]]) -> Iterator[Counted]:
    grouped = engine.fetch(rows.group_by(column).aggregate(rows=lambda rows: rows.count())).to_pydict()
    for value, count in zip(grouped[column], grouped["rows"], strict=True):
        if value is not None:
            reasons = bad.get(value, Counter())
            name = f"{value:g}" if isinstance(value, float) else str(value)
            yield Counted(column, name, count, reasons.total(), next((top for top, _ in reasons.most_common(1)), ""))


def systematic_loss(counts: Sequence[Counted], rows: int, label: str) -> Refusal | None:
    """The refusal of a day that has nearly all rows of a value in quarantine, which names what would mend it.

    `counts` is what `count_loss` gives, `rows` is what the whole day has.
    """
    found = sorted(_systematic(counts, rows), key=lambda group: -group.quarantined)
    if not found:
        return None
    worst = found[0]
    error = BadData(
        f"{label} loses {worst.quarantined} of {worst.rows} rows with {worst.column} {worst.value}",
        expected="bad rows here and there",
        seen="; ".join(f"{group.column} {group.value}: {group.reason} {group.quarantined}" for group in found[:5]),
        action=_mend(worst, counts),
    )
    return Refusal("systematic_loss", error)


def _systematic(counts: Sequence[Counted], rows: int) -> Iterator[Counted]:
    files = sum(group.column == "source_file" for group in counts)
    firsts = sum(group.rows for group in counts if group.column == "position" and _number(group.value) == 1)
    for group in counts:
        weighs = group.quarantined >= _LEAST_SHARE * rows
        if group.column == "source_file":
            weighs = files > 1
        elif group.column == "position" and _number(group.value) == 0:
            # Of long lists the first place is a small share, and as common as the next.
            weighs |= 2 * group.rows >= firsts
        if weighs and group.quarantined >= _LEAST_ROWS and group.quarantined >= _NEARLY_ALL * group.rows:
            yield group


def _mend(worst: Counted, counts: Iterable[Counted]) -> str:
    if worst.column == "position" and _number(worst.value) == 0:
        return "positions count from 0 here: say `position: {column: …, offset: 1}` in the table's columns"
    if worst.column == "grade":
        grades = [_number(group.value) for group in counts if group.column == "grade"]
        return _grade_scale([grade for grade in grades if isfinite(grade)])
    if worst.column == "hour":
        return "say in data.source.zone and schedule.timezone by which zone's clocks the feed and its days are cut"
    if worst.column == "kind":
        return "name the kind in `outcomes`, rename it by `map`, or leave its rows out by `only`"
    if worst.column == "source_file":
        return "look at that file: it is written otherwise than the others"
    return f"look what {worst.column} {worst.value} stands for, and say it by `map` in the table's columns"


def _grade_scale(grades: Sequence[float]) -> str:
    low, high = min(grades), max(grades)
    scale = 3 / (high - low) if high > low else 1.0
    return (
        f"grades go from {low:g} to {high:g} here, and 0 to 3 are read:"
        f" add `scale: {scale:g}, offset: {0 - low * scale:g}` to the grade in the table's columns"
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
