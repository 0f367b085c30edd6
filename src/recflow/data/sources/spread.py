"""Days for rows without a date."""

import hashlib
from datetime import date

from recflow.config.sections.sources import Spread


def is_of_day(spread: Spread, row: str, label: str) -> bool:
    """Whether the row named `row` was given the day."""
    return day_index(row, spread.days) == (date.fromisoformat(label) - spread.first_day).days


def day_index(row: str, days: int) -> int:
    """The day, 0 … days - 1, that a row without a date belongs to: for ever the same."""
    return int.from_bytes(hashlib.sha256(row.encode()).digest()[:8], "big") % days
