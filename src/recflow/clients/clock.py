"""The host's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Time as the host tells it."""

    def now(self) -> datetime:
        """The current moment in UTC."""
        return datetime.now(UTC)
