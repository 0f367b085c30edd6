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
from recflow.experiments.evidence import Design, Evidence, HeavyUnit, Totals
from recflow.protocols import EventLog

# Latencies are read to a thousandth of themselves.
_FINE = 1000
# Rows that are added up at a time: in memory, whatever the log's size.
_BATCH = 1_000_000
_MINUTE_US = 60_000_000

_HERE = "experiment = $experiment and arm in ('treatment', 'control') and fallback <> $stale"
# What slices are cut by, read only when there are any.
_CUT = ", items, query_hash"
# Facts are scanned once; what follows reads this table.
_ASKED = f"""
create temp table asked as
select user_hash, shown_us, arm = 'treatment' as in_treatment, latency_ms, fallback <> '' as fell {{cut}}
from shown where {_HERE}"""  # noqa: S608 - no input in it
_SEEN = """
create temp table seen as
select user_hash, min(shown_us) as first_us, count(*) as searches, count(*) filter (in_treatment) as in_treatment
from asked group by user_hash"""
_UNITS = """
create temp table units as
select user_hash, first_us, in_treatment > 0 as treated, searches, first_us + $window <= $now as entered,
  (row_number() over (order by first_us, user_hash) - 1)::integer as unit
from seen where in_treatment in (0, searches)"""
_INSIDE = f"""
create temp table inside as
select unit, entered and not treated as beside, (shown_us // {_MINUTE_US})::integer as minute, latency_ms, fell {{cut}}
from asked join units using (user_hash) where shown_us <= first_us + $window"""  # noqa: S608
# Only who has more searches at all can have more of them in one minute.
_PROGRAMS = """
create temp table programs as
select distinct unit from inside
semi join (select unit from inside group by unit having count(*) > $limit) using (unit)
group by unit, minute having count(*) > $limit"""
_EVERYBODY = """
select treated::tinyint, entered::tinyint, (programs.unit is not null)::tinyint, searches
from units left join programs using (unit) order by units.unit"""
# Of the control, in whose latencies a unit with very many searches weighs no more than in any metric.
_SIZES = """
create temp table sizes as
select unit, count(*) as searches from inside where beside and unit not in (from programs) group by unit"""
_BY_SIZE = "select searches, count(*) as units from sizes group by searches order by searches"
_LATENCIES = f"""
select (round({_FINE} * ln(greatest(latency_ms, 0) + 1)))::integer as bin, sum(coalesce($most / searches, 1))
from inside left join (from sizes where searches > $most) using (unit)
where beside and unit not in (from programs) group by bin order by bin"""  # noqa: S608
_SEARCHES = """
select unit as place, 1 as searches, fell::tinyint as fallbacks, coalesce(latency_ms > $slow, false)::tinyint as slow
from inside where {part}"""
_KINDS = "create temp table kinds (kind varchar, number integer, max_repeats integer, max_value double)"
_ACTS = f"""
create temp table acts as
select unit, kind, nth, value, 1 as acts, acted_us > first_us + $window as late {{cut}}
from acted join units using (user_hash) where reason = '' and shown_us >= $start and {_HERE}"""  # noqa: S608
# The place of a unit and a kind, and what is added there.
_ACTED = """
select number * $units + unit as place, if(nth = 1, acts, 0) as count,
  if(nth <= max_repeats, acts * least(value, max_value), 0) as value
from {acts} join kinds using (kind)"""
_INSIDE_ACTS = "(from acts where not late and {part})"
# Nothing since the start, when a candidate's canary may have begun to shape what users do.
_SEARCHES_BEFORE = "select unit as place, searches_before.searches from searches_before join units using (user_hash)"
_ACTS_BEFORE = "(from acts_before join units using (user_hash))"
# The queries of most users that make up half of the searches: those before which less than half are counted. However
# often one user repeats a query, that is one: no single unit decides what is frequent.
_HEAD = """
create or replace temp table head as
select query_hash from (
  select query_hash, sum(users) over (order by users desc, query_hash) - users as above, sum(users) over () as whole
  from (select query_hash, count(distinct unit) as users from inside where unit not in (from programs) group by all)
) where above < whole / 2"""
_UNMATCHED = """
select reason, count(*) from acted
where reason <> '' and (reason = 'unknown_request' or experiment = $experiment)
group by reason"""
_COLLISIONS = "select count(*) from acted where id_nth = 2 and experiment = $experiment"
_SEARCHED = """
select arm, searches::bigint from (
  select sum(in_treatment) as treatment, sum(searches - in_treatment) as control from seen
) unpivot (searches for arm in (treatment, control)) where searches > 0"""
_HEAVY = """
select user_hash, first_us, treated, searches, unit in (from programs) as program
from units order by searches desc, unit limit 3"""
_KEYS = """
select md5_number_lower(user_key), any_value(user_key) from exposures
where list_contains($firsts, "at") and list_contains($users, md5_number_lower(user_key)) group by all"""
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
        facts.execute(_KINDS)
        for number, kind in enumerate(design.outcomes.kinds):
            facts.execute(
                "insert into kinds values (?, ?, ?, ?)", [kind.name, number, kind.max_repeats, kind.max_value]
            )
        for sql in (_ASKED, _SEEN, _UNITS, _INSIDE, "drop table asked", _PROGRAMS, _ACTS):
            self._ask(sql.format(cut=_CUT if design.slices else ""))
        everybody = self._rows(_EVERYBODY).to_arrow_table()
        treated, entered, program, self._searched = (np.from_dlpack(x.combine_chunks()) for x in everybody.columns)
        self._treated, entered, program = treated > 0, entered > 0, program > 0
        self._known["units"] = len(self._treated)
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
            searches={Arm(arm): count for arm, count in self._ask(_SEARCHED).fetchall()},
            in_both=self._count("select count(*) from seen where in_treatment not in (0, searches)"),
            programs=_by_arm(self._treated[self._programs]),
            heaviest=self._heaviest(),
            matched=self._count("select count(*) from acts where not late"),
            unmatched=unmatched | ({"after_window": late} if late else {}),
            collisions=self._count(_COLLISIONS),
        )

    def _ask(self, sql: str, **more: object) -> duckdb.DuckDBPyConnection:
        return self._facts.execute(sql, self._named(sql, **more))

    def _rows(self, sql: str) -> duckdb.DuckDBPyRelation:
        """For Arrow and DLPack: fetchnumpy and to_numpy import pandas, which takes longer than most questions."""
        return self._facts.sql(sql, params=self._named(sql))

    def _named(self, sql: str, **more: object) -> dict[str, object]:
        return {name: value for name, value in {**self._known, **more}.items() if f"${name}" in sql}

    def _count(self, sql: str) -> int:
        [(count,)] = self._ask(sql).fetchall()
        return int(count)

    def _control_p95(self) -> float | None:
        """The smallest latency that at least 95 % of the control's searches do not exceed; no unit above the others."""
        self._ask(_SIZES)
        if not (by_size := self._ask(_BY_SIZE).fetchall()):
            return None
        sizes, units = np.array(by_size).T
        most = np.quantile(np.repeat(sizes, units), self._design.winsorise_quantile, method="lower")
        bins, searches = np.array(self._ask(_LATENCIES, most=int(most)).fetchall()).T
        counted = np.cumsum(searches)
        return float(np.expm1(bins[np.searchsorted(counted, 0.95 * counted[-1])] / _FINE))

    def _totals(self, part: str = "true") -> Totals:
        searches = _SEARCHES.format(part=part)
        return self._add(("searches", "fallbacks", "slow"), searches) | self._add_acts(_INSIDE_ACTS.format(part=part))

    def _before(self) -> Totals:
        return self._add(("searches",), _SEARCHES_BEFORE) | self._add_acts(_ACTS_BEFORE)

    def _add_acts(self, acts: str) -> dict[str, NDArray[np.float64]]:
        kinds = self._design.outcomes.kinds
        sums = self._sum(("count", "value"), _ACTED.format(acts=acts), len(kinds))
        return {
            f"{of}:{kind.name}": values[number, self._kept]
            for number, kind in enumerate(kinds)
            for of, values in sums.items()
        }

    def _add(self, columns: Iterable[str], sql: str) -> dict[str, NDArray[np.float64]]:
        return {name: values[0, self._kept] for name, values in self._sum(columns, sql).items()}

    def _sum(self, columns: Iterable[str], sql: str, kinds: int = 1) -> dict[str, NDArray[np.float64]]:
        """Each column of the rows added up by their `place`, as (kinds, units).

        Here rather than in SQL: the groups are as many as the users, and their numbers are the places.
        """
        totals = {name: np.zeros(kinds * len(self._treated)) for name in columns}
        for rows in self._rows(sql).to_arrow_reader(_BATCH):
            places = np.from_dlpack(rows["place"])
            for name, total in totals.items():
                np.add(total, np.bincount(places, np.from_dlpack(rows[name]), len(total)), out=total)
        return {name: total.reshape(kinds, -1) for name, total in totals.items()}

    def _slice(self, part: OnlineSlice, before: Totals) -> Totals:
        if part.name in {"new_users", "returning_users"}:
            returning = before.get("searches", np.zeros(len(self._kept))) > 0
            chosen = returning if part.name == "returning_users" else ~returning
            return {name: np.where(chosen, values, 0.0) for name, values in self._totals().items()}
        if part.name in {"head", "tail"}:
            self._ask(_HEAD)
        return self._totals(_SLICES[part.name].format(items=part.items))

    def _heaviest(self) -> tuple[HeavyUnit, ...]:
        found = self._ask(_HEAVY).fetchall()
        users, firsts = [user for user, *_ in found], [moment(first) for _, first, *_ in found]
        keys = dict(self._ask(_KEYS, users=users, firsts=firsts).fetchall())
        of_arm = [self._searched[self._treated == treated].sum() for treated in (False, True)]
        return tuple(
            HeavyUnit(keys.get(user, ""), _arm(treated), searches, searches / int(of_arm[treated]), program)
            for user, _, treated, searches, program in found
        )


def _by_arm(treated: NDArray[np.bool_]) -> dict[Arm, int]:
    counts = {Arm.TREATMENT: int(treated.sum()), Arm.CONTROL: int((~treated).sum())}
    return {arm: count for arm, count in counts.items() if count}


def _arm(treated: bool) -> Arm:
    return Arm.TREATMENT if treated else Arm.CONTROL
