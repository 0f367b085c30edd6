"""Which amounts are outliers: by the median and the median absolute deviation of their logarithms.

A price is off by a factor, not by a sum, and neither a median nor a deviation moves when a few of them are wrong.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

# Times this, a median absolute deviation is the standard deviation of a bell curve.
_NORMAL_CONSISTENT = 1.4826


@dataclass(frozen=True)
class Spread:
    """Median and median absolute deviation of the logarithms of sizes. Zeros, missing and odd values have no size.

    An engine gives both as exact medians: of `ln(abs(value))`, then of its distance from the first.
    """

    middle: float
    deviation: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """The spread of these values; None where none has a size."""
        logarithms = [math.log(abs(value)) for value in values if value and math.isfinite(value)]
        if not logarithms:
            return None
        middle = median(logarithms)
        return cls(middle, median(abs(logarithm - middle) for logarithm in logarithms))

    def usual(self, mads: float) -> tuple[float, float]:
        """The smallest and the largest size that is no outlier.

        Where more than half of the sizes are equal there is no scale to judge by: then every size is usual.
        """
        if self.deviation == 0:
            return 0.0, math.inf
        reach = mads * _NORMAL_CONSISTENT * self.deviation
        return math.exp(self.middle - reach), _exp(self.middle + reach)


def _exp(logarithm: float) -> float:
    try:
        return math.exp(logarithm)
    except OverflowError:
        return math.inf
