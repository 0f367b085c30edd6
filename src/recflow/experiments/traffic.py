"""What a line's own traffic was before an experiment: how many shoppers come, and what one of them does."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from recflow.artifacts.events import Fallback
from recflow.config.recipe import Recipe
from recflow.domain.matching import microseconds
from recflow.experiments.evidence import Evidence
from recflow.experiments.planning import Traffic
from recflow.protocols import EventLog

_Columns = Mapping[str, Any]
# So many shoppers tell the noise of a metric to a few hundredths of itself; user hashes are in no order of anything.
_SAMPLE = 50_000

_VISITORS = """
create temp table visitors as
select user_hash, min(shown_us) as first_us from shown where fallback <> $stale group by user_hash
having min(shown_us) + $window <= $start"""
_SAMPLED = "create temp table sampled as select * from visitors order by user_hash limit $sample"
_SEARCHES = """
select user_hash, count(*) as searches from shown join sampled using (user_hash)
where fallback <> $stale and shown_us <= first_us + $window group by user_hash order by user_hash"""
_ACTS = """
with acts as (
  select acted.* replace (least(value, max_value) as value), max_repeats from acted
  join (select unnest($kinds) as kind, unnest($repeats) as max_repeats, unnest($most) as max_value) using (kind)
  where reason = ''
)
select user_hash, kind, count(*) filter (nth = 1) as acts, sum(value) filter (nth <= max_repeats) as value
from acts join sampled using (user_hash) where acted_us <= first_us + $window group by user_hash, kind"""


def read_traffic(events: EventLog, recipe: Recipe, start: datetime, hours: float) -> Traffic | None:
    """Shoppers of the hours before `start` and what they did in their first outcome window; None when nobody came."""
    times = {
        "stale": Fallback.STALE_ROUTES.value,
        "window": timedelta(seconds=recipe.online_gate.outcome_window_seconds) // timedelta(microseconds=1),
    }
    kinds = [kind.name for kind in recipe.outcomes.kinds]
    named = {
        "kinds": kinds,
        "repeats": [kind.max_repeats for kind in recipe.outcomes.kinds],
        "most": [kind.max_value for kind in recipe.outcomes.kinds],
    }
    with events.facts(recipe.name, start - timedelta(hours=hours), start) as facts:
        facts.execute(_VISITORS, {**times, "start": microseconds(start)})
        facts.execute(_SAMPLED, {"sample": _SAMPLE})
        [(users,)] = facts.execute("select count(*) from visitors").fetchall()
        searched = facts.execute(_SEARCHES, times).fetchnumpy()
        acted = facts.execute(_ACTS, {"window": times["window"], **named}).fetchnumpy()
    return Traffic(users, hours, _as_one_arm(searched, acted, kinds)) if users else None


def _as_one_arm(searched: _Columns, acted: _Columns, kinds: list[str]) -> Evidence:
    number = len(searched["searches"])
    totals = {"searches": searched["searches"].astype(np.float64)}
    for kind in kinds:
        mine = acted["kind"] == kind
        rows = np.searchsorted(searched["user_hash"], acted["user_hash"][mine])
        for of, column in (("count", "acts"), ("value", "value")):
            totals[f"{of}:{kind}"] = np.zeros(number)
            totals[f"{of}:{kind}"][rows] = acted[column][mine]
    return Evidence(np.zeros(number, dtype=np.bool_), totals)
