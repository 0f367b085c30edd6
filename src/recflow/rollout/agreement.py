"""Whether a candidate answers what shoppers ask for much as stable does, from shadow's comparisons.

Agreement (of orders: tau) and overlap are means over requests. As a whole they are held against the plan's limits as
they are; the task's groups (lists of a length, what is asked often and seldom …) are, where they lie below a limit
beyond chance, with what was asked as unit: that a few things are answered anew is what a night's training is for.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.events import ASKED
from recflow.artifacts.ledger import LedgerState
from recflow.artifacts.plans import Plan
from recflow.domain.routes import routes
from recflow.protocols import EventLog
from recflow.tasks.base import Serving

V = Verdict
FEWEST_REQUESTS = 20
FEWEST_UNITS = 10
_Z = 1.645  # one-sided 95 %


@dataclass(frozen=True)
class ComparedRequest:
    """One compared request, without what was shown: fields as of `Comparison`, `asked` is what was asked in words."""

    request_id: str
    at: datetime
    asked: str
    length: int
    tau: float | None
    overlap: float | None
    score_difference: float
    erased: bool

    @property
    def is_comparable(self) -> bool:
        """Whether the two answers could have differed."""
        return self.tau is not None

    @property
    def unit(self) -> str:
        """What was asked, or, where nothing is in words, the request by itself."""
        return self.asked or self.request_id


_FIELDS = tuple(ASKED if name == "asked" else name for name in ComparedRequest.__dataclass_fields__)
_COLUMNS = (*_FIELDS, "experiment", "shown_version")


@dataclass(frozen=True)
class _Mean:
    """A measure's mean over a group's requests, and where chance may have it at most."""

    group: str
    value: float
    highest: float
    requests: int
    units: int

    @property
    def is_judged(self) -> bool:
        return self.requests >= FEWEST_REQUESTS and self.units >= FEWEST_UNITS

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
    return [
        ComparedRequest(asked=row.pop(ASKED), **row)
        for row in rows
        if (row.pop("experiment"), row.pop("shown_version")) == here
    ]


def judge_agreement(
    plan: Plan, compared: Sequence[ComparedRequest], serving: Serving[Any], *, accepted: bool = False
) -> Decision:
    """PASS, or FAIL where a person must be asked; NOT_EVALUATED, with the reason, where too little can be compared.

    A change is meant to answer otherwise, and a difference may have been accepted: then the figures are only told.
    """
    told = [row for row in compared if row.is_comparable]
    fewest = max(1, min(FEWEST_REQUESTS, plan.shadow.min_requests))
    if len(told) < fewest:
        return Decision(gate="agreement", verdict=V.NOT_EVALUATED, reasons=(_too_few(compared, told, fewest),))
    asks = plan.kind == "refresh" and not accepted
    findings = [
        finding for measure in _measures(plan, serving) for finding in _judge(measure, told, serving, blocking=asks)
    ]
    findings.append(_difference(told))
    failed = [finding for finding in findings if finding.blocking and finding.verdict is V.FAIL]
    whole = tuple(finding.reason for finding in findings if finding.rule in ("tau", "overlap"))
    if not failed:
        return Decision(gate="agreement", verdict=V.PASS, reasons=whole, findings=tuple(findings))
    verb = "orders" if serving.ordered else "answers"
    reason = f"the candidate {verb} otherwise than stable: {'; '.join(whole)}"
    return Decision(gate="agreement", verdict=V.FAIL, reasons=(reason,), findings=tuple(findings))


def most_different(compared: Sequence[ComparedRequest], count: int = 10) -> list[ComparedRequest]:
    """The requests that agree least, the least first; one that was made several times stands once, erased ones not."""
    order = sorted(
        (row for row in compared if row.is_comparable and not row.erased),
        key=lambda row: (row.tau, 1.0 if row.overlap is None else row.overlap, -row.score_difference, row.at),
    )
    once = {(row.unit, row.length, row.tau, row.score_difference): row for row in reversed(order)}
    return sorted(once.values(), key=order.index)[:count]


def _measures(plan: Plan, serving: Serving[Any]) -> tuple[_Measure, ...]:
    return (
        _Measure("tau", serving.agreement, plan.shadow.min_tau, lambda row: row.tau),
        _Measure("overlap", "overlap of the first ten", plan.shadow.min_overlap, lambda row: row.overlap),
    )


def _too_few(compared: Sequence[ComparedRequest], told: Sequence[ComparedRequest], fewest: int) -> str:
    single = sum(row.length == 1 for row in compared)
    if not compared:
        return "nothing to compare: no request that stable answered was answered by the candidate too"
    if single == len(compared):
        return f"nothing to compare: each of {single:,} lists has one item"
    return (
        f"too little to compare: of {len(compared):,} answers {len(told):,} can tell two versions apart"
        f" ({single:,} are lists of one item), a reading needs {fewest}"
    )


def _judge(
    measure: _Measure, told: Sequence[ComparedRequest], serving: Serving[Any], *, blocking: bool
) -> Iterator[Finding]:
    """The finding of the whole, which names the lowest group, then those of the groups."""
    values = [(row.unit, value) for row in told if (value := measure.of(row)) is not None]
    if not values:
        return
    whole, means = _mean("", values), _group_means(measure, told, serving)
    judged = [mean for mean in means if mean.is_judged] or means
    lowest = min(judged, key=lambda mean: mean.value, default=None)
    reason = f"{measure.text} is {whole.told} (limit {measure.limit:.2f})"
    reason += f", lowest {lowest.told} in {lowest.group}" if lowest else ""
    verdict = V.FAIL if whole.value < measure.limit else V.PASS
    yield Finding(
        rule=measure.name, verdict=verdict, reason=reason, blocking=blocking,
        value=whole.value, limit=measure.limit, n=whole.requests,
    )  # fmt: skip
    for mean in means:
        yield _group_finding(measure, mean, blocking=blocking)


def _group_means(measure: _Measure, told: Sequence[ComparedRequest], serving: Serving[Any]) -> list[_Mean]:
    found = [(row, value) for row in told if (value := measure.of(row)) is not None]
    frequent = _frequent(Counter(row.unit for row, _ in found))
    grouped: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row, value in found:
        for group in serving.groups(row.asked, row.length, is_frequent=row.unit in frequent):
            grouped[group].append((row.unit, value))
    return [_mean(group, rows) for group, rows in sorted(grouped.items())]


def _group_finding(measure: _Measure, mean: _Mean, *, blocking: bool) -> Finding:
    verdict = V.FAIL if mean.highest < measure.limit else V.PASS
    few = "" if mean.is_judged else f", too few to judge ({mean.units} different ones)"
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
    """The standard error is that of a mean over clusters, the units (Cameron and Miller, 2015)."""
    requests = len(values)
    value = math.fsum(number for _, number in values) / requests
    sums: dict[str, float] = defaultdict(float)
    for unit, number in values:
        sums[unit] += number - value
    units = len(sums)
    correction = units / (units - 1) if units > 1 else 1.0
    error = math.sqrt(correction * math.fsum(part**2 for part in sums.values())) / requests
    return _Mean(group, value, value + _Z * error, requests, units)


def _frequent(counts: Counter[str]) -> set[str]:
    """The most frequent units that make up half of the requests."""
    frequent: set[str] = set()
    covered = 0
    for unit, count in counts.most_common():
        if 2 * covered >= counts.total():
            break
        frequent.add(unit)
        covered += count
    return frequent
