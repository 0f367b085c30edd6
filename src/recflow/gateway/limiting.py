"""Limits by key and time, in bounded memory."""

from collections import OrderedDict
from datetime import datetime, timedelta


class Limiter:
    """Counts what each key does in `window` from its first act on.

    Only the `capacity` keys that acted last are known: one that many others came after starts anew. Keys are kept as
    64-bit hashes, so that long ones cost no more.
    """

    def __init__(self, window: timedelta, capacity: int = 50_000) -> None:
        self._window, self._capacity = window, capacity
        self._known: OrderedDict[int, tuple[datetime, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def wait_s(self, key: tuple[str, ...], most: int, now: datetime) -> int:
        """0 while the key has acted fewer than `most` times, else the seconds until it may again."""
        began, count = self._entry(key, now)
        return 0 if count < most else max(1, round((began + self._window - now).total_seconds()))

    def count(self, key: tuple[str, ...], now: datetime) -> None:
        """Count one act."""
        began, count = self._entry(key, now)
        self._known[hash(key)] = began, count + 1
        self._known.move_to_end(hash(key))
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def _entry(self, key: tuple[str, ...], now: datetime) -> tuple[datetime, int]:
        began, count = self._known.get(hash(key), (now, 0))
        # A clock that was set back starts the window anew.
        return (began, count) if timedelta(0) <= now - began < self._window else (now, 0)
