"""Intervals that hold at every look: asymptotic confidence sequences.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences" (Annals of Statistics 52, 2024; arXiv 2103.06476), theorem 2.2: with t callers
of whom each contributes with variance s^2, the chance that the mean ever leaves

    mean +- s sqrt(2 (t r^2 + 1) / (t^2 r^2) log(sqrt(t r^2 + 1) / alpha))

is alpha, however often one looks, once t is large enough for a central limit theorem. r says no
more than where it is tightest; it is what that paper has for tightest at `_TIGHTEST` callers.
"""

from math import log, sqrt
from typing import NamedTuple

from service.experiments.sums import METRICS, Metric, Sums

LEVEL = 0.95  # that none of the metrics is ever wrong: alpha is shared among them
_ALPHA = (1 - LEVEL) / len(METRICS)
_TIGHTEST = 10_000  # callers
# Of each variant of whom a metric is not 0: with fewer there is no normal approximation, and what
# is rare or skewed gives false alarms (python -m benchmarks.experiments).
FEWEST = 200
_R_SQUARED = (-2 * log(_ALPHA) + log(-2 * log(_ALPHA)) + 1) / _TIGHTEST


class Interval(NamedTuple):
    """An estimate, and between what it lies."""

    estimate: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 above zero as a whole, -1 below; 0: zero is in it."""
        return (self.low > 0) - (self.high < 0)


def margin(callers: int, variance: float) -> float:
    """Half of the width, of a mean over so many callers."""
    grown = callers * _R_SQUARED + 1
    return sqrt(2 * variance * grown / _R_SQUARED * log(sqrt(grown) / _ALPHA)) / callers


def of_one(sums: Sums, metric: Metric) -> Interval | None:
    """Of one variant; None where too few callers tell."""
    found = sums.estimate(metric)
    if found is None or found.some < FEWEST:
        return None
    half = margin(sums.callers, found.variance)
    return Interval(found.mean, found.mean - half, found.mean + half)


def of_difference(a: Sums, b: Sums, metric: Metric) -> Interval | None:
    """b - a; None where too few callers of either tell.

    Chance gives a caller one of the two, and each contributes to the difference: t is all of them.
    """
    of_a, of_b = a.estimate(metric), b.estimate(metric)
    if of_a is None or of_b is None or min(of_a.some, of_b.some) < FEWEST:
        return None
    callers = a.callers + b.callers
    variance = callers * (of_a.variance / a.callers + of_b.variance / b.callers)
    half, difference = margin(callers, variance), of_b.mean - of_a.mean
    return Interval(difference, difference - half, difference + half)
