"""Whether the arms have the sizes that the assignment gives them; if not, nothing else can be believed."""

import math


def mismatch_p_value(treatment: int, control: int) -> float:
    """The chance of sizes at least this unequal under equal halves: chi-square with one degree of freedom."""
    total = treatment + control
    if total == 0:
        return 1.0
    statistic = (treatment - control) ** 2 / total
    return math.erfc(math.sqrt(statistic / 2))
