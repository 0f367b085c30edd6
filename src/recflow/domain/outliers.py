"""Which amounts are outliers: by the median and the median absolute deviation of their logarithms.

A price is off by a factor, not by a sum, and neither a median nor a deviation moves when a few of them are wrong.
"""

import math

# Times this, a median absolute deviation is the standard deviation of a bell curve.
_NORMAL_CONSISTENT = 1.4826


def largest_usual(middle: float, deviation: float, mads: float) -> float:
    """The largest value that is no outlier.

    `middle` and `deviation` are the median of the logarithms and that of their distances from it. Where more than half
    of the values are equal there is no scale to judge by: then every value is usual.
    """
    if deviation == 0:
        return math.inf
    try:
        return math.exp(middle + mads * _NORMAL_CONSISTENT * deviation)
    except OverflowError:
        return math.inf
