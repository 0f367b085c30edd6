"""From the event log to evidence: what each user did within a fixed window after being first exposed.

A user enters once that window has closed, so that a user's totals never change afterwards: the sequence would not hold
otherwise. Everything is counted for the arm a user was *assigned* to, whatever served. Answers under a stale routing
table are left out: in both arms stable alone gives them. Which acts count is decided in `domain.matching`.
"""

from datetime import datetime, timedelta

import duckdb
import numpy as np
from numpy.typing import NDArray

from recflow.artifacts.events import Arm, Fallback
from recflow.config.sections.gate import OnlineSlice
from recflow.domain.matching import microseconds
from recflow.experiments.evidence import Design, Evidence, Heavy, Totals
from recflow.protocols import EventLog

# Latencies are read to a thousandth of themselves.
_FINE = 1000
_MINUTE_US = 60_000_000

_HERE = "experiment = $experiment and arm in ('treatment', 'control') and fallback <> $stale"
_SEEN = f"""
create temp table seen as
select user_hash, min(shown_us) as first_us, bool_or(arm = 'treatment') as treated, count(*) as searches,
  bool_or(arm = 'treatment') and bool_or(arm = 'control') as in_both
from shown where shown_us >= $start and {_HERE} group by user_hash"""  # noqa: S608 - no input in it
_INSIDE = f"""
create temp table inside as
select user_hash, shown_us, latency_ms, fallback <> '' as fell, items, query_hash
from shown join seen using (user_hash)
where not in_both and shown_us >= $start and {_HERE} and shown_us <= first_us + $window"""  # noqa: S608
# Only who has more searches at all can have more of them in one minute.
_PROGRAMS = f"""
create temp table programs as
select distinct user_hash from inside
semi join (select user_hash from inside group by user_hash having count(*) > $limit) using (user_hash)
group by user_hash, shown_us // {_MINUTE_US} having count(*) > $limit"""  # noqa: S608
_UNITS = """
create temp table units as
select user_hash, first_us, treated, (row_number() over (order by first_us, user_hash) - 1)::integer as unit
from seen anti join programs using (user_hash) where not in_both and first_us + $window <= $now"""
_LATENCIES = f"""
select (round({_FINE} * ln(greatest(latency_ms, 0) + 1)))::integer as bin, count(*) as searches
from inside join units using (user_hash) where not treated group by bin order by bin"""  # noqa: S608
_SEARCHES = """
select unit, count(*) as searches, count(*) filter (fell) as fallbacks, count(*) filter (latency_ms > $slow) as slow
from inside join units using (user_hash) where {part} group by unit"""
_ACTS = f"""
create temp table acts as
select unit, kind, nth, value, items, query_hash from acted join units using (user_hash)
where reason = '' and {_HERE} and shown_us >= $start and acted_us <= first_us + $window"""  # noqa: S608
_ACTED = """
select unit, number, count(*) filter (nth = 1) as acts, sum(value) filter (nth <= max_repeats) as value
from acts join kinds using (kind) where {part} group by unit, number"""
_SEARCHES_BEFORE = """
select unit, count(*) as searches from shown join units using (user_hash)
where shown_us < first_us group by unit"""
_ACTED_BEFORE = """
select unit, number, count(*) filter (nth = 1) as acts, sum(value) filter (nth <= max_repeats) as value
from acted join kinds using (kind) join units using (user_hash)
where reason = '' and acted_us < first_us group by unit, number"""
# The most frequent queries that make up half of the searches: those before which less than half are counted.
_HEAD = """
create or replace temp table head as
select query_hash from (
  select query_hash, searches, sum(searches) over (order by searches desc, query_hash) - searches as above,
    sum(searches) over () as whole
  from (select query_hash, count(*) as searches from shown group by query_hash)
) where above < whole / 2"""
_MATCHED = f"""
select case when reason = '' and acted_us > first_us + $window then 'after_window' else reason end as why, count(*)
from acted left join seen using (user_hash)
where acted_us >= $start and (reason = 'unknown_request' or ({_HERE})) group by why"""  # noqa: S608
_COLLISIONS = """
select count(*) from acted where id_nth = 2 and acted_us >= $start and experiment = $experiment"""
_HEAVY = """
select user_hash, treated, seen.searches, first_us, user_hash in (select user_hash from programs) as program
from seen where not in_both order by seen.searches desc, user_hash limit 3"""
_KEYS = """
select distinct md5_number_lower(user_key), user_key from exposures
where list_contains($times, epoch_us("at")) and list_contains($hashes, md5_number_lower(user_key))"""
_SEARCHED = f"select arm = 'treatment', count(*) from shown where shown_us >= $start and {_HERE} group by 1"  # noqa: S608
_PROGRAMS_BY_ARM = "select treated, count(*) from programs join seen using (user_hash) group by treated"
_KINDS = """
create temp table kinds as
select unnest($kinds) as kind, unnest($repeats) as max_repeats, generate_subscripts($kinds, 1) - 1 as number"""
_SLICES = {
    "long_lists": "items >= {items}",
    "short_lists": "items < {items}",
    "head": "query_hash in (from head)",
    "tail": "query_hash not in (from head)",
}


def read_evidence(events: EventLog, design: Design, now: datetime) -> Evidence:
    """What an experiment has shown at `now`; bots, employees, forced requests and programs are left out.

    A user counts once the design's window has passed since the first exposure, with the searches and acts inside it.
    """
    with events.facts(design.recipe, design.start - design.look_back, now) as facts:
        return _Look(facts, design, now).evidence()


class _Look:
    """One look's questions to the facts; each builds on those before it."""

    def __init__(self, facts: duckdb.DuckDBPyConnection, design: Design, now: datetime) -> None:
        self._facts, self._design = facts, design
        self._known: dict[str, object] = {
            "experiment": design.experiment,
            "stale": Fallback.STALE_ROUTES.value,
            "start": microseconds(design.start),
            "now": microseconds(now),
            "window": design.window // timedelta(microseconds=1),
            "limit": design.max_searches_per_minute,
            "kinds": [kind.name for kind in design.outcomes.kinds],
            "repeats": [kind.max_repeats for kind in design.outcomes.kinds],
        }
        for sql in (_SEEN, _INSIDE, _PROGRAMS, _UNITS, _KINDS, _ACTS):
            self._ask(sql)
        self._treated = np.asarray(
            self._ask("select treated from units order by unit").fetchnumpy()["treated"], np.bool_
        )

    def evidence(self) -> Evidence:
        """Everything that the design asks for."""
        self._known["slow"] = (p95 := self._control_p95()) and p95 * self._design.slow_factor
        before = self._before() if self._design.look_back else {}
        why = dict(self._ask(_MATCHED).fetchall())
        [(collisions,)] = self._ask(_COLLISIONS).fetchall()
        [(in_both,)] = self._ask("select count(*) from seen where in_both").fetchall()
        return Evidence(
            treated=self._treated,
            totals=self._totals(),
            before=before,
            slices={part.name: self._slice(part, before) for part in self._design.slices},
            control_p95_ms=p95,
            assigned=self._by_arm("select treated, count(*) from seen where not in_both group by treated"),
            searches=self._by_arm(_SEARCHED),
            in_both=in_both,
            programs=self._by_arm(_PROGRAMS_BY_ARM),
            heaviest=self._heaviest(),
            matched=why.pop("", 0),
            unmatched=why,
            collisions=collisions,
        )

    def _ask(self, sql: str, **more: object) -> duckdb.DuckDBPyConnection:
        given = {**self._known, **more}
        return self._facts.execute(sql, {name: value for name, value in given.items() if f"${name}" in sql})

    def _by_arm(self, sql: str) -> dict[Arm, int]:
        return {_arm(treated): count for treated, count in self._ask(sql).fetchall()}

    def _control_p95(self) -> float | None:
        """The smallest latency that at least 95 % of the control's searches do not exceed."""
        found = self._ask(_LATENCIES).fetchnumpy()
        if not len(found["bin"]):
            return None
        counted = np.cumsum(found["searches"])
        return float(np.expm1(found["bin"][np.searchsorted(counted, 0.95 * counted[-1])] / _FINE))

    def _totals(self, part: str = "true") -> Totals:
        totals = self._spread(_SEARCHES.format(part=part), ("searches", "fallbacks", "slow"))
        return totals | self._spread_acts(_ACTED.format(part=part))

    def _before(self) -> Totals:
        return self._spread(_SEARCHES_BEFORE, ("searches",)) | self._spread_acts(_ACTED_BEFORE)

    def _spread(self, sql: str, names: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
        found = self._ask(sql).fetchnumpy()
        return {name: self._by_unit(found["unit"], found[name]) for name in names}

    def _spread_acts(self, sql: str) -> dict[str, NDArray[np.float64]]:
        found = self._ask(sql).fetchnumpy()
        totals = {}
        for number, kind in enumerate(self._design.outcomes.kinds):
            mine = found["number"] == number
            totals[f"count:{kind.name}"] = self._by_unit(found["unit"][mine], found["acts"][mine])
            totals[f"value:{kind.name}"] = self._by_unit(found["unit"][mine], found["value"][mine])
        return totals

    def _by_unit(self, units: NDArray[np.int32], values: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = np.zeros(len(self._treated))
        spread[units] = values
        return spread

    def _slice(self, part: OnlineSlice, before: Totals) -> Totals:
        if part.name in {"new_users", "returning_users"}:
            returning = before.get("searches", np.zeros(len(self._treated))) > 0
            chosen = returning if part.name == "returning_users" else ~returning
            return {name: np.where(chosen, values, 0.0) for name, values in self._totals().items()}
        if part.name in {"head", "tail"}:
            self._ask(_HEAD)
        return self._totals(_SLICES[part.name].format(items=part.items))

    def _heaviest(self) -> tuple[Heavy, ...]:
        searched = self._by_arm(_SEARCHED)
        found = self._ask(_HEAVY).fetchall()
        hashes, times = [row[0] for row in found], [row[3] for row in found]
        keys = dict(self._ask(_KEYS, hashes=hashes, times=times).fetchall()) if found else {}
        return tuple(
            Heavy(keys[user], _arm(treated), searches, searches / searched[_arm(treated)], program)
            for user, treated, searches, _, program in found
        )


def _arm(treated: bool) -> Arm:
    return Arm.TREATMENT if treated else Arm.CONTROL
