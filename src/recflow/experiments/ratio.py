"""Ratio metrics by user: the sum of what users did over the sum of what they were shown, with its standard error.

Delta method: Deng, Knoblich, Lu, Applying the Delta Method in Metric Analytics, KDD 2018. For users i with x_i and d_i
the ratio R = sum x / sum d has the variance of the mean of the residuals (x_i - R d_i) / mean(d). What users did before
they met the experiment explains a part of these residuals, which is taken off: Deng, Xu, Kohavi, Walker, Improving the
Sensitivity of Online Controlled Experiments (CUPED), WSDM 2013, with several covariates and one slope for both arms.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Totals = NDArray[np.float64]
_USERS_A_COVARIATE = 20  # fewer users tell a slope from chance too badly to gain by it


@dataclass(frozen=True)
class Estimate:
    """A metric of one arm: as it was seen, adjusted for covariates with the variance of that, users and events.

    `known` is False, value 0 and variance infinite for fewer than two users, or when nothing was shown.
    """

    value: float
    adjusted: float
    variance: float
    users: int
    events: float
    known: bool = True


@dataclass(frozen=True)
class ArmEstimates:
    """A metric in both arms."""

    treatment: Estimate
    control: Estimate

    @property
    def users(self) -> int:
        """Users of both arms."""
        return self.treatment.users + self.control.users

    @property
    def events(self) -> float:
        """Events that an arm has, or would have if both were equal: a candidate that ends them is judged too."""
        fewer = min(self.treatment.users, self.control.users)
        return (self.treatment.events + self.control.events) * fewer / max(1, self.users)

    @property
    def finite(self) -> bool:
        """Whether everything that is judged is a number."""
        arms = (self.treatment, self.control)
        return all(math.isfinite(number) for arm in arms for number in (arm.value, arm.adjusted, arm.variance))


@dataclass(frozen=True)
class Contrast:
    """How far an arm stands above a multiple of another: difference, its standard error, users of both arms."""

    difference: float
    standard_error: float
    users: int


def estimate(numerators: Totals, denominators: Totals, predicted: Totals | None = None, events: float = 0) -> Estimate:
    """The ratio of an arm's user totals.

    `predicted` is the part of each user's residual that covariates predict, about 0 over both arms.
    """
    users, shown = len(numerators), float(denominators.sum())
    if users < 2 or shown == 0:
        return Estimate(0.0, 0.0, math.inf, users, 0.0, known=False)
    value = float(numerators.sum()) / shown
    residuals = (numerators - value * denominators) / (shown / users)
    shift = 0.0 if predicted is None else float(predicted.mean())
    left = residuals if predicted is None else residuals - predicted
    return Estimate(value, value - shift, float(left.var(ddof=1)) / users, users, events)


def covariate_prediction(numerators: Totals, denominators: Totals, covariates: Totals) -> Totals | None:
    """What the covariates (users by columns) predict of each user's residual over both arms; None where nothing.

    Columns that are constant, not finite or made of others add nothing.
    """
    if len(numerators) < _USERS_A_COVARIATE * covariates.shape[1]:
        return None
    shown = float(denominators.sum())
    spread = covariates.std(axis=0)
    useful = np.isfinite(spread) & (spread > 1e-9 * np.abs(covariates).max(axis=0, initial=0.0))
    if shown == 0 or not useful.any():
        return None
    residuals = (numerators - float(numerators.sum()) / shown * denominators) / (shown / len(numerators))
    columns = (covariates[:, useful] - covariates[:, useful].mean(axis=0)) / spread[useful]
    moments, shared = columns.T @ columns, columns.T @ residuals
    if not (np.isfinite(moments).all() and np.isfinite(shared).all()):
        return None
    predicted: Totals = columns @ (np.linalg.pinv(moments, rcond=1e-9, hermitian=True) @ shared)
    return predicted


def contrast(treatment: Estimate, control: Estimate, factor: float = 1.0) -> Contrast:
    """How far treatment lies above factor * control; above 0 with factor 1 - m means: not worse by the share m."""
    variance = treatment.variance + factor**2 * control.variance
    difference = treatment.adjusted - factor * control.adjusted
    return Contrast(difference, math.sqrt(variance), treatment.users + control.users)


def winsorise(totals: Totals, quantile: float) -> Totals:
    """Totals cut at a quantile of those above zero, so that rare buyers are not cut to nothing.

    The bound is a total that occurs, never one above it: below quantile 1 the largest is cut to another user's.
    """
    bound = _bound(totals, quantile)
    return totals if bound is None else np.minimum(totals, bound)


def winsor_weights(searches: Totals, quantile: float) -> Totals:
    """How much of each unit counts: 1, less for those with more searches than the quantile, as if they had so many."""
    bound = _bound(searches, quantile)
    return np.ones(len(searches)) if bound is None else bound / np.maximum(searches, bound)


def _bound(totals: Totals, quantile: float) -> float | None:
    positive = totals[totals > 0]
    return float(np.quantile(positive, quantile, method="lower")) if positive.size else None
