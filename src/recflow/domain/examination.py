"""How likely a shopper looks at each position: from sums of clicks to a curve with its interval.

For a pair on a day, shown n_1 times first with c_1 clicks and n_k times at position k with c_k clicks, what is seen at
k as a share of what is seen first is the ratio that Mantel and Haenszel (1959) take over all pairs and days

    H_k = sum c_k n_1 / (n_1 + n_k)  :  F_k = sum c_1 n_k / (n_1 + n_k)

which is right however few the showings of each pair are. `eta` of k**-eta solves the score equation of a Poisson model,
sum_k log k (H_k - F_k k**-eta) = 0, in which positions without clicks count as well. Intervals are those of a jackknife
that leaves out one of GROUPS groups of queries at a time: clicks of one query belong together, and every share has the
first position in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

GROUPS = 50
DEEPEST = 50  # positions
_WITHIN = 2.01  # the 97.5 % quantile of Student's t with GROUPS - 1 degrees of freedom
_LEAST_CLICKS = 30  # on each side of a ratio
_LEAST_GROUPS = 10  # with clicks; fewer queries say nothing of others
_ETAS = (-5.0, 10.0)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Examination:
    """How likely each position is looked at as a share of the first, by position, and the eta that fits them.

    `why` says why there is no eta, and is empty where there is one. `showings` are all that have a position.
    """

    by_position: dict[int, Estimate]
    eta: Estimate | None
    showings: int
    why: str = ""


def fit_examination(showings: int, sums: Mapping[str, Sequence[float]]) -> Examination:
    """The curve that sums tell, one entry a group of queries and position: group, position, `here` (H), `first` (F).

    `clicks` and `first_clicks` are the clicks that the two are made of. No entries: no rank changed.
    """
    if not len(sums["group"]):
        return cannot_tell(
            showings, "no item was shown first and further down for one query on one day: no rank changed"
        )
    group, position = (np.asarray(sums[name], int) for name in ("group", "position"))
    columns = [np.asarray(sums[name], float) for name in ("here", "first", "clicks", "first_clicks")]
    here, first, clicks, first_clicks = (_by_group(values, group, position) for values in columns)
    seen, seen_first = clicks.sum(0), first_clicks.sum(0)
    busy = int(((clicks + first_clicks).sum(1) > 0).sum())
    if min(seen.sum(), seen_first.sum()) < _LEAST_CLICKS or busy < _LEAST_GROUPS:
        return cannot_tell(
            showings,
            f"items that were shown first and further down on one day have {seen.sum():.0f} clicks further down and"
            f" {seen_first.sum():.0f} on the first place, in {busy} of {GROUPS} groups of queries;"
            f" {_LEAST_CLICKS} each and {_LEAST_GROUPS} groups are the least",
        )
    places = np.flatnonzero((seen >= _LEAST_CLICKS) & (seen_first >= _LEAST_CLICKS))
    without = [(here.sum(0) - here[one], first.sum(0) - first[one]) for one in range(GROUPS)]
    logs = np.array([_logs(*sums_without) for sums_without in without])
    whole = _logs(here.sum(0), first.sum(0))
    curve = {int(place): _exp(_interval(whole[place], logs[:, place])) for place in places}
    etas = np.array([_eta(*sums_without) for sums_without in without])
    return Examination(curve, _interval(_eta(here.sum(0), first.sum(0)), etas), showings)


def cannot_tell(showings: int, why: str) -> Examination:
    """No estimate, and why."""
    return Examination({}, None, showings, why)


def _by_group(values: np.ndarray, group: np.ndarray, position: np.ndarray) -> np.ndarray:
    table = np.zeros((GROUPS, DEEPEST + 1))
    np.add.at(table, (group, position), values)
    return table


def _logs(here: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The logarithms of the ratios; of positions without clicks some number that nobody reads."""
    return np.asarray(np.log(np.maximum(here, 1e-9)) - np.log(np.maximum(first, 1e-9)))


def _eta(here: np.ndarray, first: np.ndarray) -> float:
    """The root of the score equation, which grows with eta, by bisection."""
    positions = np.arange(2, DEEPEST + 1)
    low, high = _ETAS
    while high - low > 1e-6:
        middle = (low + high) / 2
        score = (np.log(positions) * (here[2:] - first[2:] * positions**-middle)).sum()
        low, high = (middle, high) if score < 0 else (low, middle)
    return (low + high) / 2


def _interval(value: float, without: np.ndarray) -> Estimate:
    """By a jackknife over groups."""
    deviation = np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum())
    return Estimate(float(value), float(value - _WITHIN * deviation), float(value + _WITHIN * deviation))


def _exp(of_logs: Estimate) -> Estimate:
    return Estimate(*(float(np.exp(value)) for value in (of_logs.value, of_logs.low, of_logs.high)))


def told(found: Examination, recipe_eta: float) -> list[str]:
    """The curve and its eta for a screen, beside the eta that a recipe has."""
    lines = [f"{found.showings:,} showings with a position, 95 % intervals"]
    if found.eta is None:
        return [*lines, f"cannot tell: {found.why}", f"the recipe has labels.position_bias_eta {recipe_eta:g}"]
    lines += ["position  looked at, as a share of the first"]
    lines += [
        f"{place:>8}  {share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"
        for place, share in found.by_position.items()
    ]
    within = "within" if found.eta.low <= recipe_eta <= found.eta.high else "outside of"
    lines += [f"eta {found.eta.value:.3f} [{found.eta.low:.3f}, {found.eta.high:.3f}]"]
    return [*lines, f"the recipe has labels.position_bias_eta {recipe_eta:g}, {within} the interval"]
