"""From the event log to one row a user: what each did within a fixed window after being first exposed.

A user enters the analysis once that window has closed, so that a user's totals never change afterwards: the sequence
would not hold otherwise. Everything is counted for the arm a user was *assigned* to, whatever served. Answers under a
stale routing table are left out: in both arms stable alone gives them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recflow.artifacts.events import Arm, Fallback
from recflow.protocols import EventLog

_EXPOSED = ("request_id", "at", "user_key", "marked", "experiment", "arm", "fallback", "latency_ms")
_ACTED = ("request_id", "at", "kind", "item_id", "value")

_SHOWN = """
create temp table shown as
select request_id, epoch_us("at") as shown_us, user_key, arm, fallback, latency_ms from exposures
where experiment = $experiment and marked = '' and arm in ('treatment', 'control') and fallback <> $stale
"""
_FIRST = """
create temp table seen as
select user_key, arg_min(arm, shown_us) as arm, min(shown_us) as first_us, count(distinct arm) as arms
from shown group by user_key
"""
_INSIDE = """
create temp table inside as
select shown.*, first_us from shown join seen using (user_key)
where arms = 1 and first_us + $window <= $now and shown_us <= first_us + $window
"""
_USERS = """
with acts as (
  select user_key,
    count(distinct (o.request_id, item_id)) filter (kind = 'click') as clicks,
    count(distinct (o.request_id, item_id)) filter (kind = 'cart') as carts,
    count(distinct (o.request_id, item_id)) filter (kind = 'purchase') as purchases,
    coalesce(sum(value) filter (kind = 'purchase'), 0) as revenue
  from outcomes o join inside on inside.request_id = o.request_id and epoch_us(o."at") <= first_us + $window
  group by user_key
), searches as (
  select user_key, any_value(arm) as arm, count(*) as searches,
    count(*) filter (fallback <> '') as fallbacks
  from inside group by user_key
)
select user_key, arm, searches::double as searches, fallbacks::double as fallbacks,
  coalesce(clicks, 0)::double as clicks, coalesce(carts, 0)::double as carts,
  coalesce(purchases, 0)::double as purchases, coalesce(revenue, 0)::double as revenue
from searches left join acts using (user_key) order by user_key
"""
_LATENCIES = """
select dense_rank() over (order by user_key) - 1 as user, latency_ms from inside order by user_key
"""


@dataclass(frozen=True)
class Evidence:
    """One experiment so far.

    `users` has a row for each user whose window has closed: user_key, arm, searches, fallbacks, clicks, carts,
    purchases, revenue. `latency_ms` are their searches' latencies, `latency_user` the row in `users` of each.
    `assigned` counts everybody seen in one arm only, `in_both` those seen in both, who are left out.
    """

    users: pa.Table
    latency_ms: NDArray[np.float64]
    latency_user: NDArray[np.int64]
    assigned: dict[Arm, int]
    in_both: int

    def arm(self, arm: Arm) -> NDArray[np.bool_]:
        """Which rows of `users` belong to the arm."""
        return np.asarray([assigned == arm for assigned in self.users["arm"].to_pylist()], dtype=np.bool_)

    def column(self, name: str) -> NDArray[np.float64]:
        """A column of `users`."""
        return np.asarray(self.users[name], dtype=np.float64)


def read_evidence(
    events: EventLog, recipe: str, experiment: str, *, start: datetime, now: datetime, window: timedelta
) -> Evidence:
    """What an experiment has shown at `now`; bots, employees and forced requests are left out.

    A user counts once `window` has passed since the first exposure, with the searches and acts inside it.
    """
    with duckdb.connect() as connection:
        connection.register("exposures", events.exposures(recipe, start, now, columns=_EXPOSED))
        connection.register("outcomes", events.outcomes(recipe, start, now, columns=_ACTED))
        times = {"window": window // timedelta(microseconds=1), "now": _microseconds(now)}
        connection.execute(_SHOWN, {"experiment": experiment, "stale": Fallback.STALE_ROUTES.value})
        connection.execute(_FIRST)
        connection.execute(_INSIDE, times)
        users = connection.sql(_USERS, params={"window": times["window"]}).to_arrow_table()
        latencies = connection.sql(_LATENCIES).to_arrow_table()
        counted = connection.execute("select arm, count(*) from seen where arms = 1 group by arm").fetchall()
        [(in_both,)] = connection.execute("select count(*) from seen where arms > 1").fetchall()
    return Evidence(
        users=users,
        latency_ms=np.asarray(latencies["latency_ms"], dtype=np.float64),
        latency_user=np.asarray(latencies["user"], dtype=np.int64),
        assigned={Arm(arm): count for arm, count in counted},
        in_both=in_both,
    )


def _microseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, tz=moment.tzinfo)) // timedelta(microseconds=1)
