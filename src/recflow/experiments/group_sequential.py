"""A test that is made at a few looks, fixed beforehand, and spends its level on them: sharper than one for any look.

Lan and DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70 (1983); spending by Hwang, Shih and
De Cani, Statistics in Medicine 9 (1990), nearly all of it at the last looks. Boundaries by the recursion of Armitage,
McPherson and Rowe (1969).
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

LOOKS = 5
_SPENDING = 6.0  # "gamma" is -6: of -4 … -12, as sharp at the last look as any, and no blunter at the first than needed
_STEP = 0.005
_GRID = (np.arange(3201) - 1600) * _STEP  # the score, in standard errors at the last look


def look_users(users: int) -> tuple[int, ...]:
    """The numbers of users at which the looks are made, the last at `users`."""
    return tuple(math.ceil(users * look / LOOKS) for look in range(1, LOOKS + 1))


@cache
def boundaries(alpha: float) -> tuple[float, ...]:
    """What |z| must exceed at each of LOOKS evenly spaced looks for a one-sided test of level `alpha` over all."""
    step = np.exp(-0.5 * _GRID**2 * LOOKS)
    step /= step.sum()
    density, found, spent = step, list[float](), 0.0
    for look in range(1, LOOKS + 1):
        due = alpha * math.expm1(_SPENDING * look / LOOKS) / math.expm1(_SPENDING)
        bound = _bound(density, due - spent)
        found.append(bound / math.sqrt(look / LOOKS))
        density = np.convolve(np.where(bound < _GRID, 0.0, density), step, mode="same")
        spent = due
    return tuple(found)


def _bound(density: NDArray[np.float64], share: float) -> float:
    """The score beyond which `share` of the whole lies; between two points of the grid, on a line."""
    beyond = np.cumsum(density[::-1])[::-1]
    above = int(np.searchsorted(-beyond, -share))
    low, high = float(beyond[above - 1]), float(beyond[above])
    return float(_GRID[above - 1]) + _STEP * (low - share) / (low - high) - _STEP / 2
