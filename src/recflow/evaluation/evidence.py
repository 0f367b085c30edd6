"""The evidence of the offline gate, and what of it is no evidence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from recflow.artifacts.decisions import Finding, Verdict
from recflow.evaluation.metrics import ByQuery

Parts = Mapping[str, ByQuery]


@dataclass(frozen=True)
class Evidence:
    """Metrics by query on the same test rows, by slice; "" is every row. A metric lies in [0, 1].

    Lists of candidate, baseline and floors belong to the same queries in the same order; None is a query that cannot
    tell, or was not answered. `baseline` is None for a line's first model. A slice that no row belongs to has no entry.
    `failures` say why a query got no answer, one text a query.
    """

    candidate: Parts
    baseline: Parts | None = None
    floors: Mapping[str, ByQuery] = field(default_factory=dict)
    failures: Sequence[str] = ()
    baseline_failures: Sequence[str] = ()

    def usable(self) -> "Evidence":
        """The same without values that are no metric: a number that is none, or lies outside of [0, 1]."""
        return Evidence(
            {part: _usable(metrics) for part, metrics in self.candidate.items()},
            None if self.baseline is None else {part: _usable(metrics) for part, metrics in self.baseline.items()},
            {name: _usable(metrics) for name, metrics in self.floors.items()},
            self.failures,
            self.baseline_failures,
        )

    def unusable(self) -> Iterator[Finding]:
        """What `usable` leaves out: a candidate with such a value fails, and against such a rival nothing is judged."""
        rivals: dict[str, Parts] = {f"the floor {name}": {"": metrics} for name, metrics in self.floors.items()}
        rivals["the serving model"] = self.baseline or {}
        yield from _unusable("the candidate", self.candidate, Verdict.FAIL)
        for who, parts in rivals.items():
            yield from _unusable(who, parts, Verdict.INCONCLUSIVE)


def named(metric: str, part: str) -> str:
    """A metric with its slice, for people."""
    return f"{metric} on {part}" if part else metric


def _usable(metrics: ByQuery) -> ByQuery:
    return {name: [value if _is_metric(value) else None for value in values] for name, values in metrics.items()}


def _unusable(who: str, parts: Parts, verdict: Verdict) -> Iterator[Finding]:
    for part, metrics in parts.items():
        for metric, values in metrics.items():
            bad = sum(value is not None and not _is_metric(value) for value in values)
            rule = f"{named(metric, part)} of {who}"
            if bad:
                reason = f"{rule}: no number from 0 to 1 for {bad} of {len(values)} queries"
                yield Finding(rule=rule, verdict=verdict, reason=reason, n=bad)


def _is_metric(value: float | None) -> bool:
    return value is not None and 0 <= value <= 1
