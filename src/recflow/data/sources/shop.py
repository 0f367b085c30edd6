"""A shop's folder: `events/<day>.jsonl` and `catalogue/<day>.jsonl`, as `recflow sample-data` writes it."""

from pathlib import Path

import pyarrow as pa

from recflow.artifacts.digests import digest_file, digest_json
from recflow.artifacts.manifests import Interval
from recflow.data.rows import DELIVERED
from recflow.data.sources import Source
from recflow.data.sources.catalogue import Item, catalogue_files, read_catalogue
from recflow.data.sources.jsonl import as_text, read_jsonl
from recflow.errors import BadData

_EVENT = ("event_id", "at", "kind", "request_id", "user_key", "query", "item_id", "position", "value")
_NO_ITEM = Item(title="", description="")


class Shop(Source):
    """One event an object: event_id, at (ISO 8601), kind, request_id, user_key, query, item_id, position, value.

    Titles and descriptions come from the day's catalogue; an item that is not in it has no title.
    """

    note = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fingerprint(self, interval: Interval) -> str:
        """The digest of the day's event file and of the catalogue that was valid then."""
        files = [self._events(interval), *catalogue_files(self._folder, interval.label)]
        return digest_json([digest_file(path) if path.exists() else None for path in files])

    def rows(self, interval: Interval) -> pa.Table:
        """The day's events with the texts of their items; BadData when the file is missing or no UTF-8 JSON lines."""
        path = self._events(interval)
        if not path.exists():
            raise BadData(f"there are no events of {interval.label}", expected=f"events/{path.name}", seen="no file")
        catalogue = read_catalogue(self._folder, interval.label)
        events = list(read_jsonl(path))
        present = {name for event in events for name in event} | {"value"} | set(() if events else _EVENT)
        columns = {name: [as_text(event.get(name)) for event in events] for name in _EVENT if name in present}
        items = [catalogue.get(item or "", _NO_ITEM) for item in columns.get("item_id", [None] * len(events))]
        columns["title"] = [item.title or None for item in items]
        columns["description"] = [item.description or None for item in items]
        columns["grade"] = [None] * len(events)
        return pa.table(columns, schema=pa.schema([field for field in DELIVERED if field.name in columns]))

    def _events(self, interval: Interval) -> Path:
        return self._folder / "events" / f"{interval.label}.jsonl"
