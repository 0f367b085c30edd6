"""Paired intervals by unit: what lies within one is not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

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
