"""Where the events of an interval come from: one adapter a kind of source, all giving rows as delivered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.errors import BadConfiguration
from recflow.protocols import EventLog


@dataclass(frozen=True)
class Delivery:
    """The records of an interval in Parquet files, and how many they are.

    Columns: those of `rows.DELIVERED` that the source has, all text, null where a record has no value; `source_file`
    (text) and `source_row` (int64, unique in its file) say where a record comes from.
    """

    files: tuple[Path, ...]
    records: int


class Source(Protocol):
    """Events of any interval, as text and unjudged."""

    @property
    def note(self) -> str:
        """What a reader of the report must know about this source; empty when there is nothing to say."""

    def fingerprint(self, interval: Interval) -> str:
        """SHA-256 of the interval's raw bytes: another digest, other events. Never fails on bad events."""

    def rows(self, interval: Interval) -> pa.Table:
        """The interval's rows, columns of `rows.DELIVERED` as far as the source has them; title null: unknown item.

        Raises BadData when the events cannot be read at all.
        """

    def deliver(self, interval: Interval, folder: Path) -> Delivery:
        """The interval's rows as Parquet files in `folder`; raises as `rows` does."""
        table = self.rows(interval)
        places = {"source_file": pa.repeat("", table.num_rows), "source_row": pa.array(range(table.num_rows))}
        for name, places_of_rows in places.items():
            table = table.append_column(name, places_of_rows)
        pq.write_table(table, folder / "delivered.parquet")
        return Delivery((folder / "delivered.parquet",), table.num_rows)


def open_source(recipe: Recipe, folder: Path, events: EventLog | None = None) -> Source:
    """The source that a recipe names, below `folder`; `events` is asked for by gateway_log only."""
    section = recipe.data.source
    if not folder.is_dir():
        raise BadConfiguration(f"the source of {recipe.name} is not there", expected="a folder", seen=str(folder))
    if section.adapter == "crowdflower":
        from recflow.data.sources.crowdflower import CrowdFlower

        return CrowdFlower(folder, section.days, section.first_day)
    if section.adapter == "shop":
        from recflow.data.sources.shop import Shop

        return Shop(folder)
    from recflow.data.sources.gateway_log import GatewayLog

    if events is None:
        raise BadConfiguration(
            f"the source of {recipe.name} is the gateway's log", expected="an event log", seen="none"
        )
    return GatewayLog(events, folder, recipe.name, recipe.labels.attribution_minutes)


def source_folder(recipe: Recipe, root: Path) -> Path:
    """The absolute folder of a recipe's source; a relative path starts at `root`."""
    return (root / recipe.data.source.path).resolve()
