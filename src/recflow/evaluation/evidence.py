"""The evidence of the offline gate, and what of it is no evidence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from recflow.artifacts.decisions import Finding, Verdict
from recflow.tasks.base import ByUnit, Metric

Parts = Mapping[str, ByUnit]
Known = Mapping[str, Metric]


@dataclass(frozen=True)
class Evidence:
    """Metrics by unit on the same test examples, by slice; "" is every example.

    Lists of candidate, baseline and floors belong to the same units in the same order; None is a unit that cannot
    tell, or was not answered. `baseline` is None for a line's first model. A slice that no example belongs to has no
    entry. `failures` say why a unit got no answer, one text a unit.
    """

    candidate: Parts
    baseline: Parts | None = None
    floors: Mapping[str, ByUnit] = field(default_factory=dict)
    failures: Sequence[str] = ()
    baseline_failures: Sequence[str] = ()

    def usable(self, known: Known) -> "Evidence":
        """The same without values that are no metric: a number that is none, or lies outside of the metric's range."""
        return Evidence(
            _usable(self.candidate, known),
            None if self.baseline is None else _usable(self.baseline, known),
            _usable(self.floors, known),
            self.failures,
            self.baseline_failures,
        )

    def unusable(self, known: Known, units: str) -> Iterator[Finding]:
        """What `usable` leaves out: a candidate with such a value fails, and against such a rival nothing is judged."""
        rivals: dict[str, Parts] = {f"the floor {name}": {"": metrics} for name, metrics in self.floors.items()}
        rivals["the serving model"] = self.baseline or {}
        told = partial(_unusable, known, units)
        yield from told("the candidate", self.candidate, Verdict.FAIL)
        for who, parts in rivals.items():
            yield from told(who, parts, Verdict.INCONCLUSIVE)


def named(metric: str, part: str) -> str:
    """A metric with its slice, for people."""
    return f"{metric} on {part}" if part else metric


def _usable(parts: Parts, known: Known) -> dict[str, ByUnit]:
    return {
        part: {
            name: [value if _is_metric(value, known[name]) else None for value in values]
            for name, values in metrics.items()
        }
        for part, metrics in parts.items()
    }


def _unusable(known: Known, units: str, who: str, parts: Parts, verdict: Verdict) -> Iterator[Finding]:
    for part, metrics in parts.items():
        for name, values in metrics.items():
            bad = sum(value is not None and not _is_metric(value, known[name]) for value in values)
            rule = f"{named(name, part)} of {who}"
            if bad:
                reason = f"{rule}: no number from 0 to {known[name].highest:g} for {bad} of {len(values)} {units}"
                yield Finding(rule=rule, verdict=verdict, reason=reason, n=bad)


def _is_metric(value: float | None, metric: Metric) -> bool:
    return value is not None and 0 <= value <= metric.highest
