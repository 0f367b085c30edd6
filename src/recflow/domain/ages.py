"""How old a stamp is, by a clock that may have been put back since."""

from datetime import datetime


def age_s(since: datetime, now: datetime) -> float:
    """Seconds from `since` to `now`; 0 until a clock that was put back has caught up: nothing is younger than new."""
    return max(0.0, (now - since).total_seconds())
