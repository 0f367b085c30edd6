from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that stands still until it is turned."""

    def __init__(self, start: datetime = datetime(2011, 1, 5, 2, tzinfo=UTC)) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    def tick(self, seconds: float = 1) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time
