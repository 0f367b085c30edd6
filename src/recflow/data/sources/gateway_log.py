"""The gateway's own exposures and outcomes as the next day's events: this is where the loop closes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.digests import digest_json
from recflow.artifacts.events import UNIDENTIFIED
from recflow.artifacts.manifests import Interval
from recflow.config.sections.sources import DELIVERY_COLUMNS
from recflow.data.sources import Delivery, Fingerprint, Source
from recflow.data.sources.batches import RECORDS_A_BATCH, RowsDigest
from recflow.data.sources.catalogue import database
from recflow.data.sources.places import full_disk_is_told
from recflow.data.sources.tables import TableReader
from recflow.domain.matching import SKEW
from recflow.protocols import EventLog

_AT_ONCE = timedelta(hours=1)
_EXPOSURE = ("request_id", "at", "user_key", "marked", "query", "items", "erased")
# Whose requests teach: shoppers', and those of people without any id, each of which is a user of its own.
_SHOPPERS = ("", UNIDENTIFIED)
_MOMENT = "strftime(make_timestamp(epoch_us({}.\"at\")), '%Y-%m-%dT%H:%M:%S.%f+00:00')"
_KNOWN = ("event_id", "at", "kind", "request_id", "user_key", "query", "item_id", "position", "value")
_EVENTS = f"""
    WITH shoppers AS (
        SELECT * FROM read_parquet($exposures) WHERE list_contains($shoppers, marked) AND NOT erased
    ), shown AS (
        SELECT request_id, "at", user_key, query, unnest(items) AS item FROM shoppers
    ), events AS (
        SELECT request_id || '-' || item.position AS event_id, {_MOMENT.format("shown")} AS "at", 'impression' AS kind,
               request_id, user_key, query, item.item_id AS item_id, item.position::VARCHAR AS position,
               NULL::VARCHAR AS value, 0 AS nth
        FROM shown
        UNION ALL
        SELECT concat_ws('-', outcome_id, request_id, acts.item_id, kind), {_MOMENT.format("acts")}, kind, request_id,
               if(seen.user_key IN (acts.user_key, acts.visitor_key), seen.user_key, acts.user_key),
               query, acts.item_id,
               list_filter(seen.items, lambda item: item.item_id = acts.item_id)[-1].position::VARCHAR,
               acts.value::VARCHAR, 1
        FROM read_parquet($outcomes) AS acts JOIN shoppers AS seen USING (request_id) WHERE NOT acts.erased
    )
    SELECT {", ".join(f'"{name}"' if name in _KNOWN else f"NULL::VARCHAR AS {name}" for name in DELIVERY_COLUMNS)},
           'gateway log' AS source_file, row_number() OVER (ORDER BY nth, "at", event_id) AS source_row,
           NULL::VARCHAR AS damage
    FROM events ORDER BY nth, "at", event_id
"""  # noqa: S608 - no input in it


class GatewayLog(Source):
    """Exposures become impressions; outcomes keep their kind and get query and position from their exposure.

    Marked requests (bots, employees, forced versions) and what is left of erased people are left out, and so are
    outcomes of another day's requests: they belong to that day. Outcomes are read from SKEW before the interval
    to `attribution_minutes` after it. One that names the exposure's user in either of its keys is that user's; another
    keeps its own key, and no label is made of it. The log knows items by id only: texts come from the catalogue.
    """

    def __init__(self, events: EventLog, catalogue: TableReader, recipe: str, attribution_minutes: int) -> None:
        self._events, self._catalogue, self._recipe = events, catalogue, recipe
        self._late = timedelta(minutes=attribution_minutes)

    @property
    def note(self) -> str:
        """Who was left out."""
        return (
            "from the gateway's log; requests marked as bot, employee or forced are left out, and so are erased people"
        )

    def fingerprint(self, interval: Interval) -> Fingerprint:
        """The digest of the interval's exposures and outcomes and of the catalogue."""
        with TemporaryDirectory(prefix="source-") as scratch, full_disk_is_told():
            folder = Path(scratch)
            written = self._write_events(interval, folder)
            texts = self._catalogue.on(interval, folder)
            return texts.fingerprint([_digest(written)])

    def stamp(self, interval: Interval) -> str:
        """None: the log's segments hold more than a day, and are written anew without a change when it is compacted."""
        del interval
        return ""

    def deliver(self, interval: Interval, folder: Path) -> Delivery:
        """Impressions and outcomes with the texts of their items."""
        with full_disk_is_told():
            events = self._write_events(interval, folder)
            digest, records = _digest(events), pq.read_metadata(events).num_rows
            texts = self._catalogue.on(interval, folder)
            delivered = texts.add_catalogue(events)
        return Delivery((delivered,), records, digest_json([digest, *texts.digests]))

    def _write_events(self, interval: Interval, folder: Path) -> Path:
        exposures, outcomes, events = (folder / f"{name}.parquet" for name in ("exposures", "outcomes", "events"))
        _write_hours(
            lambda start, end: self._events.exposures(self._recipe, start, end, columns=_EXPOSURE),
            interval.start, interval.end, exposures,
        )  # fmt: skip
        _write_hours(
            lambda start, end: self._events.outcomes(self._recipe, start, end),
            interval.start - SKEW, interval.end + self._late, outcomes,
        )  # fmt: skip
        with database(folder) as connection:
            read = {"exposures": str(exposures), "outcomes": str(outcomes), "shoppers": list(_SHOPPERS)}
            connection.sql(_EVENTS, params=read).write_parquet(str(events))
        exposures.unlink()
        outcomes.unlink()
        return events


def _write_hours(read: Callable[[datetime, datetime], pa.Table], start: datetime, end: datetime, target: Path) -> None:
    writer = None
    while start < end:
        table = read(start, min(start + _AT_ONCE, end))
        writer = writer or pq.ParquetWriter(target, table.schema)
        writer.write_table(table.cast(writer.schema))
        start += _AT_ONCE
    assert writer is not None
    writer.close()


def _digest(events: Path) -> str:
    digest = RowsDigest()
    with pq.ParquetFile(events) as file:
        for batch in file.iter_batches(RECORDS_A_BATCH, columns=list(_KNOWN)):
            digest.add(batch.columns)
    return digest.hexdigest
