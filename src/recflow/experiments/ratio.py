"""Ratio metrics by user: the sum of what users did over the sum of what they were shown, with its standard error.

Delta method: Deng, Knoblich, Lu, Applying the Delta Method in Metric Analytics, KDD 2018. For users i with x_i and d_i
the ratio R = sum x / sum d has the variance of the mean of the residuals (x_i - R d_i) / mean(d).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Totals = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A metric of one arm: its value, the variance of that value, users and events behind it."""

    value: float
    variance: float
    users: int
    events: float


@dataclass(frozen=True)
class Contrast:
    """How far an arm stands above a multiple of another: difference, its standard error, users of both arms."""

    difference: float
    standard_error: float
    users: int


def estimate(numerators: Totals, denominators: Totals) -> Estimate:
    """The ratio of an arm's user totals; value 0 with infinite variance for fewer than two users, or nothing shown."""
    users, shown = len(numerators), float(denominators.sum())
    if users < 2 or shown == 0:
        return Estimate(0.0, math.inf, users, 0.0)
    value = float(numerators.sum()) / shown
    residuals = (numerators - value * denominators) / (shown / users)
    return Estimate(value, float(residuals.var(ddof=1)) / users, users, float(numerators.sum()))


def contrast(treatment: Estimate, control: Estimate, factor: float = 1.0) -> Contrast:
    """How far treatment lies above factor * control; above 0 with factor 1 - m means: not worse by the share m."""
    variance = treatment.variance + factor**2 * control.variance
    difference = treatment.value - factor * control.value
    return Contrast(difference, math.sqrt(variance), treatment.users + control.users)


def winsorise(treatment: Totals, control: Totals, quantile: float) -> tuple[Totals, Totals]:
    """Both arms cut at one bound: the quantile of all totals above zero, so that rare buyers are not cut to nothing."""
    positive = np.concatenate([treatment, control])
    positive = positive[positive > 0]
    if positive.size == 0:
        return treatment, control
    bound = float(np.quantile(positive, quantile))
    return np.minimum(treatment, bound), np.minimum(control, bound)
