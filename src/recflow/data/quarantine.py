"""Which rows of a day are put aside: those that blocking checks refuse, but for what a person has released."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from recflow.data.checks import MAX_VALUE, NEVER_RELEASED
from recflow.data.released import Released
from recflow.data.rows import PLACE
from recflow.engine import Engine, Table
from recflow.engine.expressions import distance, sorted_texts

_REASONS = pa.schema([("source_file", pa.string()), ("source_row", pa.int64()), ("reason", pa.string())])


@dataclass(frozen=True)
class PutAside:
    """Places of the rows in quarantine with their `reasons` and whether they are `releasable`, and how many there are.

    `released` rows would be there too, had no person said that they are to be kept.
    """

    rows: Table
    count: int
    released: int


def put_aside(engine: Engine, rows: Table, broken: Table, acts: Sequence[Released]) -> PutAside:
    """The quarantine of typed `rows`, of which `broken` has the place and a `reason` for each check that one breaks.

    A row that no partition can hold stays with all its reasons, whatever was released.
    """
    unfit = engine.keep(_each_place(_unfit(rows, broken)))
    left = _still_refused(engine, broken, unfit, acts) if acts else broken
    reasons = left.group_by(list(PLACE)).aggregate(reasons=sorted_texts(left.reason))
    marked = reasons.left_join(unfit, PLACE)
    refused = engine.keep(marked.select(*PLACE, "reasons", releasable=marked.times.isnull()))
    count = engine.count(refused)
    return PutAside(refused, count, engine.count(_each_place(broken)) - count if acts else 0)


def _unfit(rows: Table, broken: Table) -> Table:
    unread = broken.filter(broken.reason.isin(NEVER_RELEASED)).select(*PLACE)
    beyond = broken.semi_join(rows.filter(distance(rows.value, 0) > MAX_VALUE), PLACE).select(*PLACE)
    return unread.union(beyond)


def _each_place(rows: Table) -> Table:
    return rows.group_by(list(PLACE)).aggregate(times=lambda same: same.count())


def _still_refused(engine: Engine, broken: Table, unfit: Table, acts: Sequence[Released]) -> Table:
    checks = sorted({check for act in acts for check in act.checks})
    places = sorted(
        {(row.source_file, row.source_row, check) for act in acts for row in act.rows for check in row.checks}
    )
    named = engine.load(
        pa.Table.from_pylist([dict(zip(_REASONS.names, place, strict=True)) for place in places], _REASONS)
    )
    fit = broken.anti_join(unfit, PLACE)
    fit = fit.filter(~fit.reason.isin(checks)) if checks else fit
    return broken.semi_join(unfit, PLACE).union(fit.anti_join(named, [*PLACE, "reason"]))
