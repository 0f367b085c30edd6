"""Recording: what is answered is on disk first, many requests' records in one write."""

import asyncio
import logging

from recflow.artifacts.events import Record
from recflow.protocols import EventLog

_LOG = logging.getLogger(__name__)


class Recorder:
    """Appends to the event log. What arrives in one turn of the event loop is written together.

    `working` is False from a failed write to the next good one; `lost` counts records that could not be written.
    """

    def __init__(self, events: EventLog, worker: str) -> None:
        self._events, self._worker = events, worker
        self._waiting: list[tuple[Record, asyncio.Future[bool]]] = []
        self.working, self.lost = True, 0

    async def record(self, record: Record) -> bool:
        """Whether the record is in the log; it survives a kill of this process from then on."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[bool] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((record, written))
        return await written

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            self._events.append(self._worker, [record for record, _ in batch])
        except Exception:  # noqa: BLE001 - said below
            # Whatever is wrong with the log, shoppers are answered; said once until it works again.
            if self.working:
                _LOG.exception("records cannot be written")
            self.working, self.lost = False, self.lost + len(batch)
        else:
            self.working = True
        for _, written in batch:
            if not written.done():
                written.set_result(self.working)
