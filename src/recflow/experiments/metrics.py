"""The metrics of an experiment as sums by user, and which way is worse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recflow.experiments.evidence import Evidence
from recflow.experiments.ratio import Estimate, Totals, estimate, winsorise

SLOW_SHARE = 0.05
FALLBACK_FLOOR = 0.005


@dataclass(frozen=True)
class Pair:
    """A metric in both arms."""

    treatment: Estimate
    control: Estimate


def measure(evidence: Evidence, metric: str, winsorise_quantile: float) -> Pair:
    """ctr, cart_rate and purchase_rate count items acted on, each once a search, over searches; revenue is by user."""
    treated = evidence.treated
    over = np.ones(len(treated)) if metric == "revenue_per_user" else evidence.totals["searches"]
    totals = evidence.totals[_TOTALS[metric]]
    if metric == "revenue_per_user":
        totals = totals.copy()
        totals[treated], totals[~treated] = winsorise(totals[treated], totals[~treated], winsorise_quantile)
    return _pair(totals, over, treated)


def measure_slow(evidence: Evidence) -> Pair:
    """The share of searches that are slow by the experiment's design."""
    return _pair(evidence.totals["slow"], evidence.totals["searches"], evidence.treated)


_TOTALS = {
    "ctr": "count:click",
    "cart_rate": "count:cart",
    "purchase_rate": "count:purchase",
    "revenue_per_user": "value:purchase",
    "fallback_rate": "fallbacks",
}


def _pair(totals: Totals, over: Totals, treated: NDArray[np.bool_]) -> Pair:
    return Pair(estimate(totals[treated], over[treated]), estimate(totals[~treated], over[~treated]))
