"""How long packages take to answer one request, measured in this process."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recflow.evaluation.packaged import Package

REQUESTS = 100
_WARM = 3


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one request, scoring and post-processing, over `requests` that were answered one by one."""

    requests: int
    p50_ms: float
    p95_ms: float


def measure_latency(packages: Sequence[Package], requests: Sequence[Any]) -> list[Latency]:
    """One latency a package, over at most REQUESTS requests; the packages take turns, so that what slows one slows all.

    Raises ValueError without a request.
    """
    asked = requests[:: max(1, len(requests) // REQUESTS)][:REQUESTS]
    if not asked:
        raise ValueError("a latency needs a request")
    for request in asked[:_WARM]:
        for package in packages:
            package.answers([request])
    times = np.array([[_seconds(package, request) for package in packages] for request in asked])
    p50, p95 = 1000 * np.quantile(times, [0.5, 0.95], axis=0)
    return [Latency(len(asked), float(p50[one]), float(p95[one])) for one in range(len(packages))]


def _seconds(package: Package, request: Any) -> float:
    start = time.perf_counter()
    package.answers([request])
    return time.perf_counter() - start
