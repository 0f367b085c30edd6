"""Whether a candidate orders what shoppers ask for much as stable does, from shadow's comparisons.

Tau and overlap are means over requests. As a whole they are held against the plan's limits as they are; groups (lists
of a length, frequent and rare queries, queries of few and of many words) are, where they lie below a limit beyond
chance, with the query as unit: that a few queries are ranked anew is what a night's training is for.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.ledger import LedgerState
from recflow.artifacts.plans import Plan
from recflow.domain.routes import routes
from recflow.protocols import EventLog

V = Verdict
FEWEST_REQUESTS = 20
FEWEST_QUERIES = 10
_Z = 1.645  # one-sided 95 %
_LENGTHS = ((5, "lists of 2 to 5 items"), (10, "lists of 6 to 10 items"), (50, "lists of 11 to 50 items"))
_WORDS = ((1, "queries of one word"), (3, "queries of two or three words"))


@dataclass(frozen=True)
class ComparedRequest:
    """One compared request, without what was shown: fields as of `Comparison`."""

    request_id: str
    at: datetime
    query: str
    length: int
    tau: float | None
    overlap: float | None
    score_difference: float
    erased: bool

    @property
    def is_comparable(self) -> bool:
        """Whether the two lists could have differed."""
        return self.tau is not None


_COLUMNS = (*ComparedRequest.__dataclass_fields__, "experiment", "shown_version")


@dataclass(frozen=True)
class _Mean:
    """A measure's mean over a group's requests, and where chance may have it at most."""

    group: str
    value: float
    highest: float
    requests: int
    queries: int

    @property
    def is_judged(self) -> bool:
        return self.requests >= FEWEST_REQUESTS and self.queries >= FEWEST_QUERIES

    @property
    def told(self) -> str:
        return f"{self.value:.2f} over {self.requests:,} requests"


@dataclass(frozen=True)
class _Measure:
    name: str
    text: str
    limit: float
    of: Callable[[ComparedRequest], float | None]


def read_compared(events: EventLog, recipe: str, state: LedgerState, now: datetime) -> list[ComparedRequest]:
    """What the open release's shadow has compared with stable, since it came into its state."""
    assert state.release is not None and state.stable is not None
    start, experiment = min(state.release.entered_at, now), routes(recipe, state).experiment
    rows = events.comparisons(recipe, start, now, columns=_COLUMNS).to_pylist()
    here = (experiment, state.stable.version)
    return [ComparedRequest(**row) for row in rows if (row.pop("experiment"), row.pop("shown_version")) == here]


def judge_agreement(plan: Plan, compared: Sequence[ComparedRequest], *, accepted: bool = False) -> Decision:
    """PASS, or FAIL where a person must be asked; NOT_EVALUATED, with the reason, where too little can be compared.

    A change is meant to order otherwise, and a difference may have been accepted: then the figures are only told.
    """
    told = [row for row in compared if row.is_comparable]
    fewest = max(1, min(FEWEST_REQUESTS, plan.shadow.min_requests))
    if len(told) < fewest:
        return Decision(gate="agreement", verdict=V.NOT_EVALUATED, reasons=(_too_few(compared, told, fewest),))
    asks = plan.kind == "refresh" and not accepted
    findings = [finding for measure in _measures(plan) for finding in _judge(measure, told, blocking=asks)]
    findings.append(_difference(told))
    failed = [finding for finding in findings if finding.blocking and finding.verdict is V.FAIL]
    whole = tuple(finding.reason for finding in findings if finding.rule in ("tau", "overlap"))
    if not failed:
        return Decision(gate="agreement", verdict=V.PASS, reasons=whole, findings=tuple(findings))
    reason = f"the candidate orders otherwise than stable: {'; '.join(whole)}"
    return Decision(gate="agreement", verdict=V.FAIL, reasons=(reason,), findings=tuple(findings))


def most_different(compared: Sequence[ComparedRequest], count: int = 10) -> list[ComparedRequest]:
    """The requests that agree least, the least first; one that was made several times stands once, erased ones not."""
    order = sorted(
        (row for row in compared if row.is_comparable and not row.erased),
        key=lambda row: (row.tau, 1.0 if row.overlap is None else row.overlap, -row.score_difference, row.at),
    )
    once = {(row.query, row.length, row.tau, row.score_difference): row for row in reversed(order)}
    return sorted(once.values(), key=order.index)[:count]


def _measures(plan: Plan) -> tuple[_Measure, ...]:
    return (
        _Measure("tau", "tau", plan.shadow.min_tau, lambda row: row.tau),
        _Measure("overlap", "overlap of the first ten", plan.shadow.min_overlap, lambda row: row.overlap),
    )


def _too_few(compared: Sequence[ComparedRequest], told: Sequence[ComparedRequest], fewest: int) -> str:
    single = sum(row.length == 1 for row in compared)
    if not compared:
        return "nothing to compare: no list of stable's was answered by the candidate too"
    if single == len(compared):
        return f"nothing to compare: each of {single:,} lists has one item"
    return (
        f"too little to compare: of {len(compared):,} lists {len(told):,} can tell two orders apart"
        f" ({single:,} have one item), a reading needs {fewest}"
    )


def _judge(measure: _Measure, told: Sequence[ComparedRequest], *, blocking: bool) -> Iterator[Finding]:
    """The finding of the whole, which names the lowest group, then those of the groups."""
    values = [(row.query, value) for row in told if (value := measure.of(row)) is not None]
    if not values:
        return
    whole = _mean("", values)
    grouped: dict[str, list[tuple[str, float]]] = defaultdict(list)
    head = _head(Counter(query for query, _ in values))
    for row in told:
        if (value := measure.of(row)) is not None:
            for group in _groups(row, head):
                grouped[group].append((row.query, value))
    means = [_mean(group, rows) for group, rows in sorted(grouped.items())]
    lowest = min([mean for mean in means if mean.is_judged] or means, key=lambda mean: mean.value)
    reason = f"{measure.text} is {whole.told} (limit {measure.limit:.2f}), lowest {lowest.told} in {lowest.group}"
    verdict = V.FAIL if whole.value < measure.limit else V.PASS
    yield Finding(
        rule=measure.name, verdict=verdict, reason=reason, blocking=blocking,
        value=whole.value, limit=measure.limit, n=whole.requests,
    )  # fmt: skip
    for mean in means:
        yield _group_finding(measure, mean, blocking=blocking)


def _group_finding(measure: _Measure, mean: _Mean, *, blocking: bool) -> Finding:
    verdict = V.FAIL if mean.highest < measure.limit else V.PASS
    few = "" if mean.is_judged else f", too few to judge ({mean.queries} queries)"
    return Finding(
        rule=f"{measure.name} in {mean.group}", verdict=verdict if mean.is_judged else V.NOT_EVALUATED,
        reason=f"{measure.text} is {mean.told} in {mean.group} (limit {measure.limit:.2f}){few}",
        blocking=blocking and mean.is_judged, value=mean.value, high=mean.highest, limit=measure.limit, n=mean.requests,
    )  # fmt: skip


def _difference(told: Sequence[ComparedRequest]) -> Finding:
    value = math.fsum(row.score_difference for row in told) / len(told)
    reason = f"scores differ from stable's by {value:.3f} on average"
    return Finding(rule="score_difference", verdict=V.PASS, reason=reason, blocking=False, value=value, n=len(told))


def _mean(group: str, values: Sequence[tuple[str, float]]) -> _Mean:
    """The standard error is that of a mean over clusters, the queries (Cameron and Miller, 2015)."""
    requests = len(values)
    value = math.fsum(number for _, number in values) / requests
    sums: dict[str, float] = defaultdict(float)
    for query, number in values:
        sums[query] += number - value
    queries = len(sums)
    correction = queries / (queries - 1) if queries > 1 else 1.0
    error = math.sqrt(correction * math.fsum(part**2 for part in sums.values())) / requests
    return _Mean(group, value, value + _Z * error, requests, queries)


def _groups(row: ComparedRequest, head: set[str]) -> tuple[str, ...]:
    words = len(row.query.split())
    return (
        next((name for most, name in _LENGTHS if row.length <= most), "lists of more than 50 items"),
        next((name for most, name in _WORDS if words <= most), "queries of four words and more"),
        "head queries" if row.query in head else "tail queries",
    )


def _head(counts: Counter[str]) -> set[str]:
    """The most frequent queries that make up half of the searches."""
    head: set[str] = set()
    covered = 0
    for query, count in counts.most_common():
        if 2 * covered >= counts.total():
            break
        head.add(query)
        covered += count
    return head
