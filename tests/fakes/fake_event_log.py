from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from recflow.artifacts.events import Exposure, Outcome
from recflow.clients.event_log import EXPOSURES, OUTCOMES
from recflow.errors import StoreFull


class FakeEventLog:
    """Records in two lists. While `full` is set nothing can be appended."""

    def __init__(self, records: Sequence[Exposure | Outcome] = ()) -> None:
        self.records: list[Exposure | Outcome] = list(records)
        self.full = False

    def append(self, worker: str, records: Sequence[Exposure | Outcome]) -> None:
        if self.full:
            raise StoreFull("the log could not be written")
        self.records.extend(records)

    def exposures(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        rows = {r.request_id: r for r in self._window(recipe, start, end) if isinstance(r, Exposure)}
        return _table(sorted(rows.values(), key=lambda r: (r.at, r.request_id)), EXPOSURES, columns)

    def outcomes(self, recipe: str, start: datetime, end: datetime, *, columns: Sequence[str] = ()) -> pa.Table:
        rows = {r.outcome_id: r for r in self._window(recipe, start, end) if isinstance(r, Outcome)}
        return _table(sorted(rows.values(), key=lambda r: (r.at, r.outcome_id)), OUTCOMES, columns)

    def compact(self) -> int:
        return 0

    def _window(self, recipe: str, start: datetime, end: datetime) -> list[Exposure | Outcome]:
        # The earliest copy of an id is the one that is kept: it comes last here, and the last wins in a dictionary.
        found = [r for r in self.records if r.recipe == recipe and start <= r.at < end]
        return sorted(found, key=lambda r: r.at, reverse=True)


def _table(records: Sequence[Exposure | Outcome], schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    rows = [record.model_dump() for record in records]
    table = pa.Table.from_pylist([{k: _plain(v) for k, v in row.items()} for row in rows], schema=schema)
    return table.select(list(columns)) if columns else table


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value
