"""Bounds that hold at every look at once: asymptotic confidence sequences.

Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory and asymptotic confidence sequences,
arXiv 2103.06476v7, equation 9 (two-sided), appendix B.2 (the choice of rho) and its one-sided counterpart. Valid once
enough events have been seen in both arms, and for users whose totals no longer change.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ConfidenceSequence:
    """A level and the number of users `planned` (both arms) at which the bound is tightest, fixed before the start."""

    alpha: float
    planned: int

    def half_width(self, n: int, standard_error: float) -> float:
        """What to add to and take from an estimate over n users (both arms), two-sided; in the estimate's unit."""
        rho2 = _rho2(self.alpha, self.planned)
        return _scale(n, standard_error, rho2) * math.sqrt(math.log(math.sqrt(n * rho2 + 1) / self.alpha))

    def margin(self, n: int, standard_error: float) -> float:
        """What to take from an estimate for its one-sided lower bound, or to add for its upper one."""
        rho2 = _rho2(2 * self.alpha, self.planned)
        return _scale(n, standard_error, rho2) * math.sqrt(math.log1p(math.sqrt(n * rho2 + 1) / (2 * self.alpha)))


def _rho2(alpha: float, planned: int) -> float:
    """The square of rho that makes the bound tightest at `planned` users (equation 161)."""
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / planned


def _scale(n: int, standard_error: float, rho2: float) -> float:
    """The common factor s * sqrt(2 (n rho^2 + 1) / (n rho)^2), with s^2 = standard_error^2 * n."""
    return standard_error * math.sqrt(n) * math.sqrt(2 * (n * rho2 + 1) / (n * n * rho2))
