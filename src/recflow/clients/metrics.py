"""Live indicators from the event log: complete for every gateway and worker, unlike a scrape of one of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from recflow.artifacts.events import Arm, Fallback
from recflow.protocols import Activity, Clock, EventLog, OutcomeReading, TrafficReading, TrafficShares

# A stale routing table is the store's fault or the network's: it says nothing about a version.
_ERRORS = pa.array([Fallback.ERROR.value, Fallback.TIMEOUT.value, Fallback.UNAVAILABLE.value])
_COLUMNS = ("assigned_version", "experiment", "fallback", "latency_ms")
_USERS = """
create temp table users as select arm, user_hash, count(*) as requests, min(shown_us) as first_us
from shown where experiment = $experiment or arm = 'stable' group by arm, user_hash"""
_BY_ARM = """
select arm, count(*), sum(requests)::bigint, sum(requests::double * requests) from users group by arm"""
# The key of a user is looked up where the first of the requests stands.
_HEAVIEST = """
with heaviest as (
  select user_hash, sum(requests)::bigint as requests, min(first_us) as first_us
  from users group by user_hash order by requests desc, user_hash limit 3
)
select any_value(user_key), any_value(requests) as requests from exposures, heaviest
where epoch_us("at") = first_us and md5_number_lower(user_key) = user_hash
group by user_hash order by requests desc, user_hash"""
_LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=30))


class EventLogMetrics:
    """MetricsSource over any EventLog. `newest_event` looks back 30 days."""

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._events, self._clock = events, clock

    def traffic(self, recipe: str, *, version: str, experiment: str, start: datetime, end: datetime) -> TrafficReading:
        """Requests assigned to a version, from its exposures; a shadow's are those of `<release>:shadow`."""
        rows = self._events.exposures(recipe, start, end, columns=_COLUMNS)
        chosen = pc.equal(rows["assigned_version"], version)
        if experiment:
            inside = pc.equal(rows["experiment"], experiment)
            met = pc.not_equal(rows["fallback"], Fallback.STALE_ROUTES.value)
            chosen = pc.and_(chosen, pc.and_(inside, met))
        rows = rows.filter(chosen)
        if rows.num_rows == 0:
            return TrafficReading(requests=0, errors=0, p95_ms=None)
        errors = pc.sum(pc.is_in(rows["fallback"], value_set=_ERRORS)).as_py()
        [p95] = pc.quantile(rows["latency_ms"], q=0.95).to_pylist()
        return TrafficReading(requests=rows.num_rows, errors=errors or 0, p95_ms=p95)

    def outcomes(self, recipe: str, start: datetime, end: datetime) -> OutcomeReading:
        """Acts in a window, and why those of no answer are of none."""
        with self._events.facts(recipe, start, end) as facts:
            reasons = dict(facts.execute("select reason, count(*) from acted group by reason").fetchall())
        return OutcomeReading(matched=reasons.pop("", 0), unmatched=reasons)

    def shares(self, recipe: str, *, experiment: str, start: datetime, end: datetime) -> TrafficShares:
        """Shoppers and requests by arm, from the facts of a window."""
        with self._events.facts(recipe, start, end) as facts:
            facts.execute(_USERS, {"experiment": experiment})
            rows = facts.execute(_BY_ARM).fetchall()
            heaviest = tuple(facts.execute(_HEAVIEST).fetchall())
        return TrafficShares(
            users={Arm(arm): users for arm, users, _, _ in rows},
            requests={Arm(arm): requests for arm, _, requests, _ in rows},
            squares={Arm(arm): squares for arm, _, _, squares in rows},
            heaviest=heaviest,
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
        """Users of each version, and the slots, counted from `start`, in which a request came to one of them."""
        columns = ("at", "user_key", "assigned_version", "experiment", "fallback")
        rows = self._events.exposures(recipe, start, end, columns=columns)
        inside = pc.is_in(rows["experiment"], value_set=pa.array([*experiments], pa.string()))
        asked = pc.is_in(rows["assigned_version"], value_set=pa.array([*versions], pa.string()))
        met = pc.not_equal(rows["fallback"], Fallback.STALE_ROUTES.value)
        rows = rows.filter(pc.and_(pc.and_(inside, asked), met))
        users = rows.group_by("assigned_version").aggregate([("user_key", "count_distinct")])
        since_us = pc.microseconds_between(pa.scalar(start, rows["at"].type), rows["at"])
        slots = pc.unique(pc.divide(since_us, round(slot_s * 1_000_000))).to_pylist()
        window_s = (end - start).total_seconds()
        return Activity(
            users=dict(
                zip(users["assigned_version"].to_pylist(), users["user_key_count_distinct"].to_pylist(), strict=True)
            ),
            busy_s=sum(min(slot_s, window_s - slot_s * slot) for slot in slots),
        )

    def newest_event(self, recipe: str) -> datetime | None:
        """When the newest exposure was logged."""
        # A worker's clock may be a little ahead of this one.
        end = self._clock.now() + timedelta(minutes=1)
        for span in _LOOK_BACK:
            rows = self._events.exposures(recipe, end - span, end, columns=("at",))
            if rows.num_rows:
                newest: datetime = rows["at"][-1].as_py()
                return newest
        return None
