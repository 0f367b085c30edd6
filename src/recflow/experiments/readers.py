"""From the event log to evidence: what each user did within a fixed window after being first exposed.

A user enters once that window has closed, so that a user's totals never change afterwards: the sequence would not hold
otherwise. Everything is counted for the arm a user was *assigned* to, whatever served. Answers under a stale routing
table are left out: in both arms stable alone gives them. Which acts count is decided in `domain.matching`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import duckdb
import numpy as np
from numpy.typing import NDArray

from recflow.artifacts.events import Arm, Fallback
from recflow.config.sections.gate import OnlineSlice
from recflow.domain.matching import microseconds, moment
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
from shown where {_HERE} group by user_hash"""  # noqa: S608 - no input in it
_UNITS = """
create temp table units as
select user_hash, first_us, treated, searches, first_us + $window <= $now as entered,
  (row_number() over (order by first_us, user_hash) - 1)::integer as unit
from seen where not in_both"""
_INSIDE = f"""
create temp table inside as
select unit, entered and not treated as beside, (shown_us // {_MINUTE_US})::integer as minute, latency_ms,
  fallback <> '' as fell, items, query_hash
from shown join units using (user_hash)
where {_HERE} and shown_us <= first_us + $window"""  # noqa: S608
# Only who has more searches at all can have more of them in one minute.
_PROGRAMS = """
create temp table programs as
select distinct unit from inside
semi join (select unit from inside group by unit having count(*) > $limit) using (unit)
group by unit, minute having count(*) > $limit"""
_EVERYBODY = """
select treated, entered, programs.unit is not null as program, searches
from units left join programs using (unit) order by units.unit"""
_LATENCIES = f"""
select (round({_FINE} * ln(greatest(latency_ms, 0) + 1)))::integer as bin, count(*) as searches
from inside where beside and unit not in (from programs) group by bin order by bin"""  # noqa: S608
_SEARCHES = """
select unit, count(*) as searches, count(*) filter (fell) as fallbacks, count(*) filter (latency_ms > $slow) as slow
from inside where {part} group by unit"""
_ACTS = f"""
create temp table acts as
select unit, kind, nth, value, 1 as acts, items, query_hash, acted_us > first_us + $window as late
from acted join units using (user_hash) where reason = '' and shown_us >= $start and {_HERE}"""  # noqa: S608
_ACTED = "select unit, {sums} from acts where not late and {part} group by unit"
# Before the start everything is from before the own first exposure.
_SEARCHES_BEFORE = (
    """
select unit, sum(earlier.searches)::double as searches
from searches_before earlier join units using (user_hash) group by unit""",
    f"""
select unit, count(*) as searches from shown join units using (user_hash)
where not ({_HERE}) and shown_us < first_us group by unit""",  # noqa: S608
)
_ACTED_BEFORE = (
    "select unit, {sums} from acts_before join units using (user_hash) group by unit",
    f"""
select unit, {{sums}} from (select *, 1 as acts from acted) join units using (user_hash)
where reason = '' and not ({_HERE}) and acted_us < first_us group by unit""",  # noqa: S608
)
# The most frequent queries that make up half of the searches: those before which less than half are counted.
_HEAD = """
create or replace temp table head as
select query_hash from (
  select query_hash, sum(searches) over (order by searches desc, query_hash) - searches as above,
    sum(searches) over () as whole
  from (select query_hash, count(*) as searches from shown group by query_hash)
) where above < whole / 2"""
_UNMATCHED = """
select reason, count(*) from acted
where reason <> '' and (reason = 'unknown_request' or experiment = $experiment)
group by reason"""
_COLLISIONS = "select count(*) from acted where id_nth = 2 and experiment = $experiment"
_SEARCHED = f"select arm = 'treatment', count(*) from shown where {_HERE} group by 1"  # noqa: S608
_HEAVY = """
select user_hash, first_us, treated, searches, unit in (from programs) as program
from units order by searches desc, unit limit 3"""
_KEY = """
select user_key from exposures
where "at" = $first and md5_number_lower(user_key) = $user"""
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
    with events.facts(design.recipe, design.start, now, look_back=design.look_back) as facts:
        return _Look(facts, design, now).evidence()


class _Look:
    """One look's questions to the facts; each builds on those before it.

    A unit is the number of a user in the order of first exposures, of everybody seen in one arm only.
    """

    def __init__(self, facts: duckdb.DuckDBPyConnection, design: Design, now: datetime) -> None:
        self._facts, self._design = facts, design
        self._known: dict[str, object] = {
            "experiment": design.experiment,
            "stale": Fallback.STALE_ROUTES.value,
            "start": microseconds(design.start),
            "now": microseconds(now),
            "window": design.window // timedelta(microseconds=1),
            "limit": design.max_searches_per_minute,
        }
        for number, kind in enumerate(design.outcomes.kinds):
            self._known |= {f"kind{number}": kind.name, f"repeats{number}": kind.max_repeats}
            self._known |= {f"most{number}": kind.max_value}
        for sql in (_SEEN, _UNITS, _INSIDE, _PROGRAMS, _ACTS):
            self._ask(sql)
        everybody = self._ask(_EVERYBODY).fetchnumpy()
        self._treated, entered, program = (
            np.asarray(everybody[name], dtype=np.bool_) for name in ("treated", "entered", "program")
        )
        self._searched = np.asarray(everybody["searches"], dtype=np.int64)
        self._kept, self._programs = np.flatnonzero(entered & ~program), entered & program

    def evidence(self) -> Evidence:
        """Everything that the design asks for."""
        p95 = self._control_p95()
        self._known["slow"] = None if p95 is None else p95 * self._design.slow_factor
        before = self._before() if self._design.look_back else {}
        unmatched = dict(self._ask(_UNMATCHED).fetchall())
        late = self._count("select count(*) from acts where late")
        return Evidence(
            treated=self._treated[self._kept],
            totals=self._totals(),
            before=before,
            slices={part.name: self._slice(part, before) for part in self._design.slices},
            control_p95_ms=p95,
            assigned=_by_arm(self._treated),
            searches={_arm(treated): count for treated, count in self._ask(_SEARCHED).fetchall()},
            in_both=self._count("select count(*) from seen where in_both"),
            programs=_by_arm(self._treated[self._programs]),
            heaviest=self._heaviest(),
            matched=self._count("select count(*) from acts where not late"),
            unmatched=unmatched | ({"after_window": late} if late else {}),
            collisions=self._count(_COLLISIONS),
        )

    def _ask(self, sql: str, **more: object) -> duckdb.DuckDBPyConnection:
        given = {**self._known, **more}
        return self._facts.execute(sql, {name: value for name, value in given.items() if f"${name}" in sql})

    def _count(self, sql: str) -> int:
        [(count,)] = self._ask(sql).fetchall()
        return int(count)

    def _control_p95(self) -> float | None:
        """The smallest latency that at least 95 % of the control's searches do not exceed."""
        found = self._ask(_LATENCIES).fetchnumpy()
        if not len(found["bin"]):
            return None
        counted = np.cumsum(found["searches"])
        return float(np.expm1(found["bin"][np.searchsorted(counted, 0.95 * counted[-1])] / _FINE))

    def _totals(self, part: str = "true") -> Totals:
        return self._add(("searches", "fallbacks", "slow"), _SEARCHES.format(part=part)) | self._add_acts(
            _ACTED.format(part=part, sums=self._sums)
        )

    def _before(self) -> Totals:
        acts = (sql.format(sums=self._sums) for sql in _ACTED_BEFORE)
        return self._add(("searches",), *_SEARCHES_BEFORE) | self._add_acts(*acts)

    @property
    def _columns(self) -> list[str]:
        numbers = range(len(self._design.outcomes.kinds))
        return [f"{what}{number}" for number in numbers for what in ("acts", "value")]

    @property
    def _sums(self) -> str:
        return ", ".join(
            f"coalesce(sum(acts) filter (kind = $kind{number} and nth = 1), 0)::double as acts{number}, "
            f"coalesce(sum(acts * least(value, $most{number})) "
            f"filter (kind = $kind{number} and nth <= $repeats{number}), 0) as value{number}"
            for number in range(len(self._design.outcomes.kinds))
        )

    def _add_acts(self, *parts: str) -> dict[str, NDArray[np.float64]]:
        names = [f"{what}:{kind.name}" for kind in self._design.outcomes.kinds for what in ("count", "value")]
        return dict(zip(names, self._add(self._columns, *parts).values(), strict=True))

    def _add(self, columns: Iterable[str], *parts: str) -> dict[str, NDArray[np.float64]]:
        """The columns of each part, which have one row a unit at most, added up for the users who are kept."""
        totals = {name: np.zeros(len(self._treated)) for name in columns}
        for sql in parts:
            found = self._ask(sql).fetchnumpy()
            for name, total in totals.items():
                total[found["unit"]] += found[name]
        return {name: total[self._kept] for name, total in totals.items()}

    def _slice(self, part: OnlineSlice, before: Totals) -> Totals:
        if part.name in {"new_users", "returning_users"}:
            returning = before.get("searches", np.zeros(len(self._kept))) > 0
            chosen = returning if part.name == "returning_users" else ~returning
            return {name: np.where(chosen, values, 0.0) for name, values in self._totals().items()}
        if part.name in {"head", "tail"}:
            self._ask(_HEAD)
        return self._totals(_SLICES[part.name].format(items=part.items))

    def _heaviest(self) -> tuple[Heavy, ...]:
        found = []
        for user, first, treated, searches, program in self._ask(_HEAVY).fetchall():
            [(key,)] = self._ask(_KEY, user=user, first=moment(first)).fetchmany(1)
            arm = int(self._searched[self._treated == treated].sum())
            found.append(Heavy(key, _arm(treated), searches, searches / arm, program))
        return tuple(found)


def _by_arm(treated: NDArray[np.bool_]) -> dict[Arm, int]:
    counts = {Arm.TREATMENT: int(treated.sum()), Arm.CONTROL: int((~treated).sum())}
    return {arm: count for arm, count in counts.items() if count}


def _arm(treated: bool) -> Arm:
    return Arm.TREATMENT if treated else Arm.CONTROL
