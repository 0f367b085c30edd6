"""The gateway's own exposures and outcomes as the next day's events: this is where the loop closes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from recflow.artifacts.digests import digest_file, digest_json
from recflow.artifacts.events import UNIDENTIFIED
from recflow.artifacts.manifests import Interval
from recflow.data.rows import COLUMNS, DELIVERED
from recflow.data.sources import Source
from recflow.data.sources.catalogue import Item, catalogue_files, read_catalogue
from recflow.domain.matching import SKEW
from recflow.protocols import EventLog

_NO_ITEM = Item(title="", description="")
_EXPOSURE = ("request_id", "at", "user_key", "marked", "query", "items", "erased")
# Whose requests teach: shoppers', and those of people without any id, each of which is a user of its own.
_SHOPPERS = ("", UNIDENTIFIED)


class GatewayLog(Source):
    """Exposures become impressions; outcomes keep their kind and get query and position from their exposure.

    Marked requests (bots, employees, forced versions) and what is left of erased people are left out, and so are
    outcomes of another day's requests: they belong to that day. Outcomes are read from SKEW before the interval
    to `attribution_minutes` after it. One that names the exposure's user in either of its keys is that user's; another
    keeps its own key, and no label is made of it. The log knows items by id only: texts come from the catalogue in
    `folder`.
    """

    def __init__(self, events: EventLog, folder: Path, recipe: str, attribution_minutes: int) -> None:
        self._events, self._folder, self._recipe = events, folder, recipe
        self._late = timedelta(minutes=attribution_minutes)

    @property
    def note(self) -> str:
        """Who was left out."""
        return (
            "from the gateway's log; requests marked as bot, employee or forced are left out, and so are erased people"
        )

    def fingerprint(self, interval: Interval) -> str:
        """The digest of the interval's exposures and outcomes and of the catalogue."""
        files = [digest_file(path) for path in catalogue_files(self._folder, interval.label)]
        records = sorted(self._records(interval), key=lambda row: row["event_id"] or "")
        return digest_json([[sorted(row.items()) for row in records], files])

    def rows(self, interval: Interval) -> pa.Table:
        """Impressions and outcomes with the texts of their items."""
        catalogue = read_catalogue(self._folder, interval.label)
        records = list(self._records(interval))
        for record in records:
            item = catalogue.get(record["item_id"] or "", _NO_ITEM)
            record |= {"title": item.title or None, "description": item.description or None}
        return pa.table({name: [record.get(name) for record in records] for name in COLUMNS}, schema=DELIVERED)

    def _records(self, interval: Interval) -> Iterator[dict[str, str | None]]:
        start, end = interval.start, interval.end
        exposures = self._events.exposures(self._recipe, start, end, columns=_EXPOSURE).to_pylist()
        shoppers = {row["request_id"]: row for row in exposures if row["marked"] in _SHOPPERS and not row["erased"]}
        for exposure in shoppers.values():
            for item in exposure["items"]:
                yield _impression(exposure, item)
        for outcome in self._events.outcomes(self._recipe, start - SKEW, end + self._late).to_pylist():
            exposure = shoppers.get(outcome["request_id"])
            if exposure and not outcome["erased"]:
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
    names_user = exposure["user_key"] in (outcome["user_key"], outcome["visitor_key"])
    return {
        "event_id": "-".join(outcome[name] for name in ("outcome_id", "request_id", "item_id", "kind")),
        "at": outcome["at"].isoformat(),
        "kind": outcome["kind"],
        "request_id": outcome["request_id"],
        "user_key": exposure["user_key"] if names_user else outcome["user_key"],
        "query": exposure["query"],
        "item_id": outcome["item_id"],
        "position": None if position is None else str(position),
        "value": str(outcome["value"]),
    }
