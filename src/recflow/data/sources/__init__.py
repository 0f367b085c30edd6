"""Where the events of an interval come from: one adapter a kind of source, all giving rows as delivered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.errors import BadConfiguration
from recflow.protocols import EventLog


@dataclass(frozen=True)
class Delivery:
    """The records of an interval in Parquet files, how many they are, and the `Fingerprint.digest` of what was read.

    Columns: those of `rows.DELIVERED`, all text, null where a record has no value; `source_file` (text) and
    `source_row` (int64, unique in its file) say where a record comes from; `damage` (text) why it could not be read.
    """

    files: tuple[Path, ...]
    records: int
    digest: str


@dataclass(frozen=True)
class Fingerprint:
    """What tells one delivery of a day from another.

    `digest` is of all that the day's rows are made of, `events` without a catalogue that all days share: its every
    change would tell every day anew. Both are SHA-256. `empty`: the source has nothing of the day.
    """

    digest: str
    events: str
    empty: bool


class Source(Protocol):
    """Events of any interval, as text and unjudged."""

    @property
    def note(self) -> str:
        """What a reader of the report must know about this source; empty when there is nothing to say."""

    def fingerprint(self, interval: Interval) -> Fingerprint:
        """The fingerprint of the interval's raw bytes: another one, other events. Never fails on bad events."""

    def stamp(self, interval: Interval) -> str:
        """What a look without reading tells of the interval's own files: an equal stamp, equal events.

        SHA-256 of names, sizes and times of change; empty where only reading tells, as in a database.
        """

    def deliver(self, interval: Interval, folder: Path) -> Delivery:
        """The interval's rows as Parquet files in `folder`, which is used for scratch too.

        Raises BadData when the events cannot be read at all, SourceUnavailable when the source does not answer, and
        StoreFull when no space is left for them.
        """


def open_source(recipe: Recipe, uri: str, events: EventLog | None = None) -> Source:
    """The source that a recipe names, at `uri` (`source_uri`); `events` is asked for by gateway_log only."""
    from recflow.data.sources.tables import TableReader, Tables

    section = recipe.data.source
    reader = TableReader(section, uri)
    if section.adapter != "gateway_log":
        return Tables(reader)
    from recflow.data.sources.gateway_log import GatewayLog

    if events is None:
        raise BadConfiguration(
            f"the source of {recipe.name} is the gateway's log", expected="an event log", seen="none"
        )
    return GatewayLog(events, reader, recipe.name, recipe.labels.attribution_minutes)


def source_uri(recipe: Recipe, root: Path) -> str:
    """Where a recipe's source is: a bucket as it stands, or a folder, whose relative path starts at `root`."""
    path = recipe.data.source.path
    return path if path.startswith("s3://") else (root / path).resolve().as_uri()
