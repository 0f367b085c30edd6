"""Paired intervals by query: the query is the unit, its items are not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_CHUNK = 1 << 22


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its two-sided interval. `n` queries."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


def bootstrap(values: Sequence[float], *, confidence: float, samples: int, seed: int) -> Estimate:
    """Mean and percentile interval by resampling queries (Efron 1979); the same seed gives the same interval.

    For a paired comparison pass the differences candidate - baseline by query.
    """
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        raise ValueError(f"an interval needs two queries, not {len(data)}")
    chance = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(data))
    sizes = [min(rows, samples - start) for start in range(0, samples, rows)]
    means = np.concatenate([data[chance.integers(0, len(data), (size, len(data)))].mean(axis=1) for size in sizes])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(data.mean()), float(low), float(high), len(data))


def attainable_margin(queries: int, *, deviation: float = 0.09, confidence: float = 0.95) -> float:
    """The smallest `max_drop` that an equal candidate can pass with this many test queries: the half-width.

    `deviation` is the standard deviation of paired differences of nDCG by query; 0.09 was measured between
    neighbouring models on human judgements, and `report.json` of every decision has the line's own.
    """
    if queries < 2:
        return float("inf")
    return NormalDist().inv_cdf(0.5 + confidence / 2) * deviation / math.sqrt(queries)
