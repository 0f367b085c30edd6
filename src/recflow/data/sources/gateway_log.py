"""The gateway's own exposures and outcomes as the next day's events: this is where the loop closes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from recflow.artifacts.digests import digest_file, digest_json
from recflow.artifacts.manifests import Interval
from recflow.data.rows import COLUMNS, DELIVERED
from recflow.data.sources.catalogue import Item, catalogue_files, read_catalogue
from recflow.protocols import EventLog

_NO_ITEM = Item(title="", description="")


class GatewayLog:
    """Exposures become impressions; outcomes keep their kind and get query and position from their exposure.

    Marked requests (bots, employees, forced versions) are left out, and so are outcomes of another day's requests:
    they belong to that day. Outcomes count until `attribution_minutes` after the interval's end. The log knows items
    by id only: texts come from the catalogue in `folder`.
    """

    def __init__(self, events: EventLog, folder: Path, recipe: str, attribution_minutes: int) -> None:
        self._events, self._folder, self._recipe = events, folder, recipe
        self._late = timedelta(minutes=attribution_minutes)

    @property
    def note(self) -> str:
        """Who was left out."""
        return "from the gateway's log; requests marked as bot, employee or forced are left out"

    def fingerprint(self, interval: Interval) -> str:
        """The digest of the interval's exposures and outcomes and of the catalogue."""
        files = [digest_file(path) for path in catalogue_files(self._folder, interval.label)]
        return digest_json([[sorted(row.items()) for row in self._records(interval)], files])

    def rows(self, interval: Interval) -> pa.Table:
        """Impressions and outcomes with the texts of their items."""
        catalogue = read_catalogue(self._folder, interval.label)
        records = list(self._records(interval))
        for record in records:
            item = catalogue.get(record["item_id"] or "", _NO_ITEM)
            record |= {"title": item.title or None, "description": item.description or None}
        return pa.table({name: [record.get(name) for record in records] for name in COLUMNS}, schema=DELIVERED)

    def _records(self, interval: Interval) -> Iterator[dict[str, str | None]]:
        exposures = self._events.exposures(self._recipe, interval.start, interval.end).to_pylist()
        shoppers = {row["request_id"]: row for row in exposures if not row["marked"]}
        for exposure in shoppers.values():
            for item in exposure["items"]:
                yield _impression(exposure, item)
        for outcome in self._events.outcomes(self._recipe, interval.start, interval.end + self._late).to_pylist():
            if exposure := shoppers.get(outcome["request_id"]):
                yield _outcome(outcome, exposure)


def _impression(exposure: dict[str, Any], item: dict[str, Any]) -> dict[str, str | None]:
    return {
        "event_id": f"{exposure['request_id']}-{item['position']}",
        "at": exposure["at"].isoformat(),
        "kind": "impression",
        "request_id": exposure["request_id"],
        "user_key": exposure["user_key"],
        "query": exposure["query"],
        "item_id": item["item_id"],
        "position": str(item["position"]),
    }


def _outcome(outcome: dict[str, Any], exposure: dict[str, Any]) -> dict[str, str | None]:
    shown = {item["item_id"]: item["position"] for item in exposure["items"]}
    position = shown.get(outcome["item_id"])
    return {
        "event_id": outcome["outcome_id"],
        "at": outcome["at"].isoformat(),
        "kind": str(outcome["kind"]),
        "request_id": outcome["request_id"],
        "user_key": outcome["user_key"],
        "query": exposure["query"],
        "item_id": outcome["item_id"],
        "position": None if position is None else str(position),
        "value": str(outcome["value"]),
    }
