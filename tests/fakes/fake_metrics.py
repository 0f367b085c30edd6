import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from fakes.fake_event_log import FakeEventLog
from recflow.artifacts.events import Arm, Exposure, Fallback
from recflow.protocols import Activity, OutcomeReading, TrafficReading, TrafficShares


class FakeMetrics:
    """Readings counted from a FakeEventLog, or whatever a test has set (whole window, any experiment)."""

    def __init__(self, events: FakeEventLog | None = None) -> None:
        self.events = events or FakeEventLog()
        self.set: dict[str, TrafficReading] = {}
        self.asleep = False  # a night in which nobody comes, whatever is set
        self.nights: list[tuple[datetime, datetime]] = []  # when nobody came to what is set
        self.newest: datetime | None = None
        self.acts: OutcomeReading | None = None
        self.shared: TrafficShares | None = None

    def traffic(self, recipe: str, *, version: str, experiment: str, start: datetime, end: datetime) -> TrafficReading:
        if self.asleep:
            return TrafficReading(requests=0, errors=0, p95_ms=None)
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

    def outcomes(self, recipe: str, start: datetime, end: datetime) -> OutcomeReading:
        if self.acts:
            return self.acts
        with self.events.facts(recipe, start, end) as facts:
            reasons = Counter(reason for (reason,) in facts.execute("select reason from acted").fetchall())
        return OutcomeReading(reasons.pop("", 0), dict(reasons))

    def shares(self, recipe: str, *, experiment: str, start: datetime, end: datetime) -> TrafficShares:
        if self.shared:
            return self.shared
        rows = [
            row
            for row in self._exposures(recipe)
            if start <= row.at < end and not (row.marked or row.erased)
            if row.experiment == experiment or row.arm is Arm.STABLE
        ]
        by_user = Counter((row.arm, row.user_key) for row in rows)
        arms = {
            arm: [count for (its, _), count in by_user.items() if its is arm] for arm in {arm for arm, _ in by_user}
        }
        heaviest = Counter(row.user_key for row in rows).most_common(3)
        return TrafficShares(
            users={arm: len(counts) for arm, counts in arms.items()},
            requests={arm: sum(counts) for arm, counts in arms.items()},
            squares={arm: float(sum(count**2 for count in counts)) for arm, counts in arms.items()},
            heaviest=tuple(heaviest),
        )

    def activity(
        self,
        recipe: str,
        *,
        versions: Sequence[str],
        experiments: Sequence[str],
        start: datetime,
        end: datetime,
        slot_s: float = 60,
    ) -> Activity:
        window_s = (end - start).total_seconds()
        if self.asleep:
            return Activity({}, 0)
        if known := {version: self.set[version].requests for version in versions if version in self.set}:
            users = {version: requests for version, requests in known.items() if requests and window_s > 0}
            slept = [min(until, end) - max(since, start) for since, until in self.nights]
            slept_s = sum(max(night.total_seconds(), 0) for night in slept)
            return Activity(users, window_s - slept_s if users else 0)
        rows = [
            row
            for row in self._exposures(recipe)
            if start <= row.at < end and row.experiment in experiments and row.assigned_version in versions
            if row.fallback is not Fallback.STALE_ROUTES
        ]
        pairs = Counter(version for version, _ in {(row.assigned_version, row.user_key) for row in rows})
        slots = {(row.at - start) // timedelta(seconds=slot_s) for row in rows}
        return Activity(dict(pairs), sum(min(slot_s, window_s - slot_s * slot) for slot in slots))

    def newest_event(self, recipe: str) -> datetime | None:
        return self.newest or max((row.at for row in self._exposures(recipe)), default=None)

    def _exposures(self, recipe: str) -> list[Exposure]:
        return [row for row in self.events.records if isinstance(row, Exposure) and row.recipe == recipe]


def _quantile(values: list[float], q: float) -> float:
    place = q * (len(values) - 1)
    low, high = math.floor(place), math.ceil(place)
    return values[low] + (values[high] - values[low]) * (place - low)
