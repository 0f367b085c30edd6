import math
from datetime import datetime

from fakes.fake_event_log import FakeEventLog
from recflow.artifacts.events import Exposure, Fallback
from recflow.protocols import TrafficReading


class FakeMetrics:
    """Readings counted from a FakeEventLog, or whatever a test has set for a version (whole window, any experiment)."""

    def __init__(self, events: FakeEventLog | None = None) -> None:
        self.events = events or FakeEventLog()
        self.set: dict[str, TrafficReading] = {}
        self.newest: datetime | None = None

    def traffic(self, recipe: str, *, version: str, experiment: str, start: datetime, end: datetime) -> TrafficReading:
        if version in self.set:
            return self.set[version]
        rows = [
            row
            for row in self._exposures(recipe)
            if row.assigned_version == version
            and start <= row.at < end
            and experiment in {"", row.experiment}
            and not (experiment and row.fallback is Fallback.STALE_ROUTES)
        ]
        if not rows:
            return TrafficReading(requests=0, errors=0, p95_ms=None)
        errors = sum(row.fallback not in {Fallback.NONE, Fallback.STALE_ROUTES} for row in rows)
        times = sorted(row.latency_ms for row in rows)
        return TrafficReading(len(rows), errors, _quantile(times, 0.95))

    def newest_event(self, recipe: str) -> datetime | None:
        return self.newest or max((row.at for row in self._exposures(recipe)), default=None)

    def _exposures(self, recipe: str) -> list[Exposure]:
        return [row for row in self.events.records if isinstance(row, Exposure) and row.recipe == recipe]


def _quantile(values: list[float], q: float) -> float:
    place = q * (len(values) - 1)
    low, high = math.floor(place), math.ceil(place)
    return values[low] + (values[high] - values[low]) * (place - low)
