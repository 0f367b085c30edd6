"""Deciding afresh after somebody else has appended to the ledger first."""

import contextlib
from collections.abc import Callable
from typing import TypeVar

from recflow.errors import LedgerConflict

T = TypeVar("T")
_TRIES = 5


def retry_on_conflict(act: Callable[[], T]) -> T:
    """The result of `act`, which reads the ledger anew in each of five tries; LedgerConflict from the last one."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(LedgerConflict):
            return act()
    return act()
