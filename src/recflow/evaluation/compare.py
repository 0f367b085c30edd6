"""Two packages on the same held-out units: what a person reads before one of them is worth a release."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recflow.config.sections.gate import JudgedSection
from recflow.errors import PermanentError
from recflow.evaluation.evidence import Evidence
from recflow.evaluation.held_out import HeldOut, Measured
from recflow.evaluation.latency import Latency, measure_latency
from recflow.evaluation.packaged import Package
from recflow.evaluation.paired import Estimate, better_by, differences, estimate, pairs
from recflow.tasks.base import Basis, ByUnit, Floors, Metric, Metrics

FEW_UNITS = 10
_TIE = 1e-9  # what rounding makes of equal answers


@dataclass(frozen=True)
class Paired:
    """One metric of A and B on a slice ("" is every unit), over the `n` of `units` that can tell for both.

    `better` is how much better B is, above 0 also where lower is better; `wins`, `ties` and `losses` are B's. Without
    an interval `said` tells why.
    """

    metric: str
    part: str
    units: int
    n: int = 0
    a: Estimate | None = None
    b: Estimate | None = None
    better: Estimate | None = None
    wins: int = 0
    ties: int = 0
    losses: int = 0
    said: str = ""


@dataclass(frozen=True)
class BesideFloor:
    """A floor's value of the main metric, and how much better A and B are; `said` where it cannot be made."""

    name: str
    value: Estimate | None = None
    a_better: Estimate | None = None
    b_better: Estimate | None = None
    said: str = ""


@dataclass(frozen=True)
class Differing:
    """A unit, as its task names it, with the main metric of A and of B, and how much better B is."""

    unit: str
    a: float
    b: float
    better: float


@dataclass(frozen=True)
class PackageComparison:
    """Everything that A's and B's answers to the same `units` test units tell of them.

    `unanswered` are the reasons of units that A, and that B, left without an answer, one a unit.
    """

    units: int
    metrics: tuple[Paired, ...]
    floors: tuple[BesideFloor, ...]
    latency: tuple[Latency, Latency]
    differing: tuple[Differing, ...]
    unanswered: tuple[tuple[str, ...], tuple[str, ...]]


def compare_packages(
    a: Package, b: Package, held_out: HeldOut, section: JudgedSection, floors: Floors[Any, Any], basis: Basis
) -> PackageComparison:
    """Compare by the rules of a gate's section: its floors, confidence, resampling and seed."""
    measured = held_out.measure(a), held_out.measure(b)
    made = {name: _floor(floors, name, basis, held_out) for name in section.floors}
    pair = _Pair(held_out.metrics, section, *_usable(held_out.metrics, measured))
    return PackageComparison(
        units=len(held_out.test),
        metrics=tuple(pair.metrics_by_slice()),
        floors=tuple(pair.beside(name, floor) for name, floor in made.items()),
        latency=_latencies(a, b, held_out),
        differing=tuple(pair.differing(held_out.test)),
        unanswered=(measured[0].failures, measured[1].failures),
    )


def _floor(floors: Floors[Any, Any], name: str, basis: Basis, held_out: HeldOut) -> ByUnit | str:
    """The floor's metrics by unit, or why there are none."""
    try:
        return held_out.metrics.measured(held_out.test, floors.given(name, basis, held_out.test), None)
    except PermanentError as error:
        return error.what


def _usable(metrics: Metrics[Any, Any], measured: tuple[Measured, Measured]) -> tuple[Mapping[str, ByUnit], ...]:
    a, b = measured
    evidence = Evidence(candidate=b.parts, baseline=a.parts).usable(metrics.by_name)
    return evidence.baseline or {}, evidence.candidate


def _latencies(a: Package, b: Package, held_out: HeldOut) -> tuple[Latency, Latency]:
    first, second = measure_latency((a, b), [held_out.metrics.request(example) for example in held_out.test])
    return first, second


@dataclass(frozen=True)
class _Pair:
    metrics: Metrics[Any, Any]
    section: JudgedSection
    a: Mapping[str, ByUnit]
    b: Mapping[str, ByUnit]

    def metrics_by_slice(self) -> Iterator[Paired]:
        for part in ("", *self.metrics.slices):
            for metric in self.metrics.metrics:
                yield self._paired(metric, part)

    def _paired(self, metric: Metric, part: str) -> Paired:
        a, b = self.a.get(part), self.b.get(part)
        if a is None or b is None:
            return Paired(metric.name, part, 0, said=f"no {self.metrics.unit} belongs to {part}")
        if lacking := [who for who, found in (("A", a), ("B", b)) if metric.name not in found]:
            return Paired(metric.name, part, 0, said=f"cannot be computed for {' and '.join(lacking)}")
        units, both = len(b[metric.name]), pairs(b, a, metric.name)
        if len(both) < 2:
            return Paired(metric.name, part, units, len(both), said=self._too_few(len(both), units))
        ours, theirs = zip(*both, strict=True)
        better = differences(b, a, metric)
        wins, losses = sum(one > _TIE for one in better), sum(one < -_TIE for one in better)
        return Paired(
            metric.name,
            part,
            units,
            len(both),
            a=estimate(theirs, self.section),
            b=estimate(ours, self.section),
            better=estimate(better, self.section),
            wins=wins,
            ties=len(both) - wins - losses,
            losses=losses,
        )

    def _too_few(self, n: int, units: int) -> str:
        told = "none" if n == 0 else "one"
        return f"{told} of {units} {self.metrics.units} can tell for both: no interval"

    def beside(self, name: str, floor: ByUnit | str) -> BesideFloor:
        main = self.metrics.main
        if isinstance(floor, str):
            return BesideFloor(name, said=floor)
        rival = Evidence(candidate={"": floor}).usable(self.metrics.by_name).candidate[""]
        values = [value for value in rival.get(main.name, ()) if value is not None]
        a, b = (estimate(differences(side.get("", {}), rival, main), self.section) for side in (self.a, self.b))
        return BesideFloor(name, estimate(values, self.section), a_better=a, b_better=b)

    def differing(self, examples: Sequence[Any]) -> list[Differing]:
        """The units on which B differs most from A, in either direction."""
        main = self.metrics.main
        sides = (side.get("", {}).get(main.name, []) for side in (self.a, self.b))
        found = [
            Differing(self.metrics.shown(example), a, b, better_by(b, a, main))
            for example, a, b in zip(examples, *sides, strict=True)
            if a is not None and b is not None and abs(a - b) > _TIE
        ]
        return sorted(found, key=lambda one: -abs(one.better))[:FEW_UNITS]
