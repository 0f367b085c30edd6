"""Whether a number of a day is further from those of past days than chance and the usual spread explain.

Numbers are compared on scales on which chance has a size that is known beforehand and days differ about evenly: counts,
ratios and amounts by their logarithm (the variance of the logarithm of a count n is 1/n), shares by the angle
2 asin(sqrt(p)) (its variance is 1/n whatever p is; differences of it are Cohen's h: Cohen 1988, Statistical Power
Analysis, ch. 6). The usual spread is what days differ by beyond chance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Literal

Scale = Literal["log", "share", "plain"]

# Factors that make the scale of Croux and Rousseeuw unbiased in small samples: 1992, Time-efficient algorithms.
_SMALL_SAMPLES = {2: 0.399, 3: 0.994, 4: 0.512, 5: 0.844, 6: 0.611, 7: 0.857, 8: 0.669, 9: 0.872}
_FURTHEST = 1e6
_MEDIAN = math.pi / 2  # the variance of a median of normal values against that of their mean


@dataclass(frozen=True)
class Reading:
    """A number of one day on the scale on which it is compared, and its variance by chance alone.

    Of things counted for each of `base` others, that variance depends on how many there should be.
    """

    scale: Scale
    size: float
    chance: float
    base: float | None = None

    def chance_at(self, size: float) -> float:
        """The variance by chance if the number should be `size`: none of thirty is less likely than none of one."""
        return self.chance if self.base is None else _of_ratio(math.exp(size) * self.base, self.base)


@dataclass(frozen=True)
class Departure:
    """How far a number is from the usual: `distance` on its scale, `score` in standard deviations of a usual day.

    `usual` is the number that it was compared with, on the same scale; `deviation` that standard deviation.
    """

    usual: float
    distance: float
    deviation: float

    @property
    def score(self) -> float:
        """Standard deviations between a number and the usual one; a million at most, where days never differ."""
        return min(_FURTHEST, self.distance / max(self.deviation, 1e-12))


def of_count(count: float, units: float) -> Reading:
    """A number of things that came in `units` independent lots; half a thing is added so that none has a logarithm."""
    return Reading("log", math.log(count + 0.5), 1 / (units + 0.5))


def of_ratio(count: float, other: float) -> Reading:
    """A number of things for each of `other` things, both counted independently."""
    return Reading("log", math.log((count + 0.5) / (other + 0.5)), _of_ratio(count, other), other)


def _of_ratio(count: float, other: float) -> float:
    return 1 / (count + 0.5) + 1 / (other + 0.5)


def of_share(share: float, units: float) -> Reading:
    """A share of `units` independent ones."""
    return Reading("share", 2 * math.asin(math.sqrt(min(1.0, max(0.0, share)))), 1 / max(units, 1))


def of_amount(mean: float, deviation: float, units: float) -> Reading:
    """The mean of the logarithms of amounts that have this standard deviation: read, a geometric mean."""
    return Reading("log", mean, deviation**2 / max(units, 1))


def plainly(scale: Scale, size: float) -> float:
    """A number as people read it, from the scale on which it is compared."""
    if scale == "log":
        return math.exp(min(size, 700.0))
    return math.sin(min(math.pi, max(0.0, size)) / 2) ** 2 if scale == "share" else size


def spread(sizes: Sequence[float]) -> float:
    """The standard deviation of values among which some may be far off: Rousseeuw and Croux's Qn; 0 for fewer than two.

    2.2219 times the k-th smallest of all distances between two values, k = h(h-1)/2 with h = n // 2 + 1. It needs no
    middle, so that weekends beside weekdays do not widen it, and bears nearly half of the values to be wrong; on normal
    values it is as good as a standard deviation from 82 of 100 values, where the median absolute deviation's is 37.
    Rousseeuw and Croux 1993, Alternatives to the median absolute deviation, JASA 88(424).
    """
    number = len(sizes)
    if number < 2:
        return 0.0
    half = number // 2 + 1
    distances = sorted(abs(one - other) for one, other in combinations(sizes, 2))
    unbiased = _SMALL_SAMPLES.get(number, number / (number + (1.4 if number % 2 else 3.8)))
    return 2.2219 * unbiased * distances[half * (half - 1) // 2 - 1]


def between_days(past: Sequence[Reading]) -> float:
    """The variance between days beyond that by chance: the method of moments, as between the studies of a review.

    DerSimonian and Laird 1986, Meta-analysis in clinical trials, with medians in the place of means.
    """
    return max(0.0, spread([reading.size for reading in past]) ** 2 - median(reading.chance for reading in past))


def departure(today: Reading, past: Sequence[Reading], against: Sequence[Sequence[Reading]]) -> Departure:
    """How far today is from the usual: the nearest of the medians of each of `against`, which are parts of `past`.

    The variance of the difference is that of a day (between days, and by chance at today's size) and that of a median
    of so many days.
    """
    between = between_days(past)
    found = []
    for days in against:
        usual = median(reading.size for reading in days)
        of_median = _MEDIAN * (between + median(reading.chance for reading in days)) / len(days)
        deviation = math.sqrt(between + today.chance_at(usual) + of_median)
        found.append(Departure(usual, abs(today.size - usual), deviation))
    return min(found, key=lambda one: one.score)


def departure_of_two(one: Reading, other: Reading, past: Sequence[Reading]) -> Departure:
    """How far two days are from each other, `other` as the usual one; without past days beyond chance alone.

    Chance is that of the number that both days have together.
    """
    between = between_days(past) if past else 0.0
    both = math.log((plainly("log", one.size) + plainly("log", other.size)) / 2)
    chance = one.chance_at(both) + other.chance_at(both)
    return Departure(other.size, abs(one.size - other.size), math.sqrt(2 * between + chance))


def divergence(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """The Jensen-Shannon divergence of two distributions, given as counts, in nats: 0 equal, log 2 nothing in common.

    Lin 1991, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37(1).
    """
    totals = sum(one.values()), sum(other.values())
    found = 0.0
    for cell in one.keys() | other.keys():
        shares = one.get(cell, 0) / totals[0], other.get(cell, 0) / totals[1]
        middle = sum(shares) / 2
        found += sum(share / 2 * math.log(share / middle) for share in shares if share)
    return max(0.0, found)


def chance_divergence(cells: int, units: float, other_units: float) -> float:
    """The divergence to be expected of two samples of one distribution.

    Near equality the divergence is an eighth of the sum of (p - q)**2 / m, which is on average the number of free cells
    times the sum of 1/n: the chi-squared statistic of two samples (Lin 1991 with Pearson's expectation).
    """
    return max(0, cells - 1) / 8 * (1 / max(units, 1) + 1 / max(other_units, 1))


def students(normal: float, days: int) -> float:
    """The quantile of Student's t for the share that `normal` has on the normal curve, with `days - 1` degrees.

    A spread that was estimated from few days may be too small by luck. Abramowitz and Stegun 1964, 26.7.5, three terms.
    """
    degrees = max(1, days - 1)
    first = (normal**3 + normal) / 4
    second = (5 * normal**5 + 16 * normal**3 + 3 * normal) / 96
    third = (3 * normal**7 + 19 * normal**5 + 17 * normal**3 - 15 * normal) / 384
    return normal + first / degrees + second / degrees**2 + third / degrees**3
