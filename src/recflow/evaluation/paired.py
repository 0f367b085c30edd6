"""Paired intervals by unit: what lies within one is not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from recflow.config.sections.gate import JudgedSection
from recflow.tasks.base import ByUnit, Metric

_CHUNK = 1 << 22


@dataclass(frozen=True)
class Estimate:
    """A mean over units with its two-sided interval. `n` units."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


def pairs(candidate: ByUnit, baseline: ByUnit, metric: str) -> list[tuple[float, float]]:
    """The metric of both on each unit that both can tell; empty where one lacks the metric."""
    if metric not in candidate or metric not in baseline:
        return []
    both = zip(candidate[metric], baseline[metric], strict=True)
    return [(ours, theirs) for ours, theirs in both if ours is not None and theirs is not None]


def differences(candidate: ByUnit, baseline: ByUnit, metric: Metric) -> list[float]:
    """How much better the candidate is on each unit that both can tell; below 0 it is worse."""
    return [better_by(ours, theirs, metric) for ours, theirs in pairs(candidate, baseline, metric.name)]


def better_by(ours: float, theirs: float, metric: Metric) -> float:
    """How much better `ours` is: above 0 also where lower is better."""
    return theirs - ours if metric.lower_is_better else ours - theirs


def estimate(values: Sequence[float], section: JudgedSection) -> Estimate | None:
    """Mean and interval as a recipe's gate computes them; None for fewer than two units."""
    if len(values) < 2:
        return None
    return bootstrap(values, confidence=section.confidence, samples=section.bootstrap_samples, seed=section.seed)


def bootstrap(values: Sequence[float], *, confidence: float, samples: int, seed: int) -> Estimate:
    """Mean and percentile interval by resampling units (Efron 1979); the same seed gives the same interval.

    For a paired comparison pass the differences candidate - baseline by unit.
    """
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        raise ValueError(f"an interval needs two units, not {len(data)}")
    chance = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(data))
    sizes = [min(rows, samples - start) for start in range(0, samples, rows)]
    means = np.concatenate([data[chance.integers(0, len(data), (size, len(data)))].mean(axis=1) for size in sizes])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(data.mean()), float(low), float(high), len(data))


def attainable_margin(units: int, *, deviation: float = 0.09, confidence: float = 0.95) -> float:
    """The smallest `max_drop` that an equal candidate can pass with this many test units: the half-width.

    `deviation` is the standard deviation of paired differences of the main metric by unit; 0.09 was measured of
    relevance between neighbouring models on human judgements, and `report.json` of every decision has the line's own.
    """
    if units < 2:
        return float("inf")
    return NormalDist().inv_cdf(0.5 + confidence / 2) * deviation / math.sqrt(units)
