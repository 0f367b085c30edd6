"""Remembering: what users did lately, for lines whose task asks for it, read from the event log in the background.

Memory is bounded: of the users who acted last, the newest acts of each. Each hour everything is read anew, so that who
was erased from the log is forgotten here as well.
"""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from datetime import datetime, timedelta

import pyarrow as pa

from recflow.protocols import Clock, EventLog
from recflow.tasks.base import Acted

_LOG = logging.getLogger(__name__)
_REACH = timedelta(days=14)
_ANEW = timedelta(hours=1)
_OVERLAP = timedelta(minutes=2)  # a record is in the log a little later than its time
_AT_ONCE = timedelta(days=1)
_COLUMNS = ("at", "user_key", "item_id", "erased")
# Between so many rows the thread lets requests through.
_ROWS, _PAUSE_S = 500, 0.002

_Users = OrderedDict[str, deque[Acted]]


class Memory:
    """The newest acts of users of some lines; `wanted` says how many acts of a user each line is told."""

    def __init__(self, events: EventLog, clock: Clock, wanted: Mapping[str, int], *, users: int) -> None:
        self._events, self._clock, self._most = events, clock, users
        self._wanted = {recipe: acts for recipe, acts in wanted.items() if acts}
        self._known: dict[str, _Users] = {recipe: OrderedDict() for recipe in self._wanted}
        self._begun: dict[str, datetime] = {}
        self._until: dict[str, datetime] = {}

    def of(self, recipe: str, user_key: str) -> tuple[Acted, ...]:
        """What a user did lately, the oldest act first; nothing of a line whose task does not ask."""
        users = self._known.get(recipe)
        return tuple(users.get(user_key, ())) if users else ()

    async def keep_reading(self, every_s: float) -> None:
        """Read for ever; a log that cannot be read leaves what is known."""
        while self._wanted:
            for recipe in self._wanted:
                try:
                    await asyncio.to_thread(self.read, recipe)
                except Exception as error:  # noqa: BLE001 - a reader that dies would forget everybody
                    _LOG.warning("acts of %s were not read: %s", recipe, error)
            await asyncio.sleep(every_s)

    def read(self, recipe: str) -> None:
        """Read what the log has of a line since the last time, or, once an hour, all that is within reach."""
        now = self._clock.now()
        anew = recipe not in self._begun or now - self._begun[recipe] >= _ANEW
        users: _Users = OrderedDict() if anew else self._known[recipe]
        start = now - _REACH if anew else self._until[recipe] - _OVERLAP
        while start <= now:
            end = min(start + _AT_ONCE, now + timedelta(microseconds=1))
            self._add(users, self._events.outcomes(recipe, start, end, columns=_COLUMNS), self._wanted[recipe])
            start = end
        self._known[recipe], self._until[recipe] = users, now
        if anew:
            self._begun[recipe] = now

    def _add(self, users: _Users, rows: pa.Table, acts: int) -> None:
        for batch in rows.to_batches(_ROWS):
            for row in batch.to_pylist():
                if not row["erased"]:
                    self._note(users, row["user_key"], Acted(row["item_id"], row["at"]), acts)
            time.sleep(_PAUSE_S)

    def _note(self, users: _Users, user_key: str, act: Acted, acts: int) -> None:
        known = users.setdefault(user_key, deque(maxlen=acts))
        if act not in known:
            known.append(act)
        users.move_to_end(user_key)
        if len(users) > self._most:
            users.popitem(last=False)
