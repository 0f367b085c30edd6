"""Days of the generated shop as partitions hold them, written without validation: what position estimates read."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fakes.engines import duckdb_engine
from recflow.config.sections.data import LabelSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.data.rows import PARTITION
from recflow.data.sample.behaviour import Day, day_events
from recflow.data.sample.catalogue import make_goods, make_wishes
from recflow.domain.examination import Examination
from recflow.engine import OpenEngine
from recflow.tasks.relevance.labels import read_events
from recflow.tasks.relevance.propensity import estimate_examination

FIRST = date(2011, 1, 1)


def shop_days(number: int, *, seed: int, rows: int = 20_000, **behaviour: Any) -> Iterator[list[dict[str, Any]]]:
    """The events of each day; `behaviour` is `swaps` and `eta`."""
    goods, wishes = make_goods(seed), make_wishes(seed)
    users = [f"u{user}" for user in range(2_000)]
    for n in range(number):
        yield day_events(
            Day(n, FIRST + timedelta(days=n), rows, 100, users, seed, **behaviour), goods, wishes, frozenset()
        )


def estimated(days: Sequence[Sequence[Mapping[str, Any]]], open_engine: OpenEngine = duckdb_engine) -> Examination:
    """What the days' rows say of how shoppers look."""
    with TemporaryDirectory() as folder, open_engine(Path(folder)) as engine:
        files = [
            (f"{FIRST + timedelta(days=n)}", written(Path(folder) / f"{n}.parquet", day)) for n, day in enumerate(days)
        ]
        return estimate_examination(engine, read_events(engine, files), LabelSection(), OutcomesSection())


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as a partition holds them."""
    typed = [{"title": "a title", **row, "at": datetime.fromisoformat(row["at"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(typed, PARTITION), path)
    return path
