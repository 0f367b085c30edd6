"""The metrics of an experiment as sums by user, and which way is worse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recflow.artifacts.events import Arm
from recflow.experiments.ratio import Estimate, Totals, estimate, winsorise
from recflow.experiments.readers import Evidence

SLOW_SHARE = 0.05
FALLBACK_FLOOR = 0.005


@dataclass(frozen=True)
class Pair:
    """A metric in both arms."""

    treatment: Estimate
    control: Estimate


def measure(evidence: Evidence, metric: str, winsorise_quantile: float) -> Pair:
    """ctr, cart_rate and purchase_rate count items acted on, each once a search, over searches; revenue is by user."""
    treated, controlled = evidence.arm(Arm.TREATMENT), evidence.arm(Arm.CONTROL)
    over = np.ones(len(treated)) if metric == "revenue_per_user" else evidence.column("searches")
    totals = evidence.column(_COLUMNS[metric])
    if metric == "revenue_per_user":
        totals = totals.copy()
        totals[treated], totals[controlled] = winsorise(totals[treated], totals[controlled], winsorise_quantile)
    return _pair(totals, over, treated, controlled)


def measure_slow(evidence: Evidence, factor: float) -> tuple[Pair, float]:
    """The share of searches slower than `factor` times the control's p95, and that p95 in ms, taken as known."""
    treated, controlled = evidence.arm(Arm.TREATMENT), evidence.arm(Arm.CONTROL)
    beside = evidence.latency_ms[controlled[evidence.latency_user]]
    p95 = float(np.quantile(beside, 0.95)) if beside.size else 0.0
    slow = np.bincount(evidence.latency_user[evidence.latency_ms > factor * p95], minlength=len(treated))
    return _pair(slow.astype(float), evidence.column("searches"), treated, controlled), p95


_COLUMNS = {
    "ctr": "clicks",
    "cart_rate": "carts",
    "purchase_rate": "purchases",
    "revenue_per_user": "revenue",
    "fallback_rate": "fallbacks",
}


def _pair(totals: Totals, over: Totals, treated: NDArray[np.bool_], controlled: NDArray[np.bool_]) -> Pair:
    return Pair(estimate(totals[treated], over[treated]), estimate(totals[controlled], over[controlled]))
