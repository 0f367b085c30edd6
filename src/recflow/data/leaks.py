"""What no data set may have: a unit on two sides, or a row of the future."""

from collections.abc import Mapping, Sequence
from functools import reduce

from recflow.artifacts.manifests import Interval, Manifest
from recflow.engine import Engine, Table
from recflow.engine.expressions import constant, seconds_after, when
from recflow.errors import PermanentError
from recflow.tasks.base import Task

_SHOWN = ("impression", "judgement")
_ACTION = "report it, with the data set's inputs: this is a fault of recflow, and no figure of such a data set is true"


def refuse_the_future(manifests: Sequence[Manifest], interval: Interval) -> None:
    """PermanentError when a partition ends after the interval."""
    for manifest in manifests:
        if manifest.interval.end > interval.end:
            raise PermanentError(
                f"the data set of {interval.label} was given the partition of {manifest.interval.label}",
                expected=f"partitions that end by {interval.end.isoformat()}",
                seen=manifest.interval.end.isoformat(),
                action="pin the partitions of this interval: clear pin_partitions and what follows it",
            )


def refuse_leaks(
    engine: Engine, splits: Mapping[str, Table], events: Table, interval: Interval, task: Task, *, acts_after_s: float
) -> None:
    """PermanentError when a unit is in two splits, in whatever spelling, or a row is later than the interval.

    Units are named anew from what they were said in. Rows are those of the splits by their day, and the `events`
    that they were made of by their time: an act may be `acts_after_s` later.
    """
    unit, units_told = task.metrics.unit, task.metrics.units
    rows = reduce(
        lambda some, more: some.union(more),
        (
            table.select("day", unit=task.examples().unit_of(table), side=constant(name))
            for name, table in splits.items()
        ),
    )
    units = rows.group_by("unit").aggregate(sides=lambda same: same.side.nunique())
    crossing = units.filter(units.sides > 1).aggregate(
        number=lambda same: same.count(), one=lambda same: same.unit.min()
    )
    later = events.filter(seconds_after(interval.end, events["at"]) > when(events.kind.isin(_SHOWN), 0.0, acts_after_s))
    late = rows.filter(rows.day > interval.label).select("day").union(later.select("day"))
    late = late.aggregate(number=lambda same: same.count(), one=lambda same: same.day.max())
    for what, table, expected in (
        (f"{units_told} in two splits", crossing, f"each {unit} in one of train, validation and test"),
        ("rows of the future", late, f"nothing after {interval.label}"),
    ):
        (found,) = engine.fetch(table).to_pylist()
        if found["number"]:
            raise PermanentError(
                f"the data set of {interval.label} has {what}",
                expected=expected,
                seen=f"{found['number']}, of {found['one']}",
                action=_ACTION,
            )
