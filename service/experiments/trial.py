"""Trial: variants beside each other, from the moment on at which callers are split among them.

Whenever who serves or the share changes, another begins: of what was before, other times and other
callers were part, and a sum over shares that differ may say the opposite of each (Simpson).
"""

from dataclasses import dataclass, field
from math import erfc, sqrt

from service.experiments.distinct import Distinct
from service.experiments.intervals import Interval, of_difference
from service.experiments.sums import METRICS, Metric, Observed, Sums

SUSPICIOUS = 0.001  # chance of a split like that, or worse, below which something is wrong


@dataclass(slots=True)
class Variant:
    """One bundle. Counts are of all its answers, at once; sums are of callers, once observed.

    callers: that it was given, observed to the end or not yet.
    """

    model: str
    share: float  # of the callers, that it is meant to get
    answers: int = 0
    clicks: int = 0  # answers, of which at least one item was clicked
    conversions: int = 0
    value: float = 0.0
    callers: int = 0
    shown: Distinct = field(default_factory=Distinct)
    sums: Sums = field(default_factory=Sums)


@dataclass(slots=True)
class Decision:
    """A metric whose interval left zero out for the first time. That holds, whatever comes."""

    time: float
    callers: int
    difference: Interval


@dataclass(slots=True)
class Trial:
    """Since when; ``canary`` is None where one bundle answers all."""

    since: float
    current: Variant
    canary: Variant | None = None
    until: float | None = None
    decided: dict[Metric, Decision] = field(default_factory=dict)

    def variant(self, model: str | None) -> Variant | None:
        """The one of this bundle."""
        return next((each for each in self.roles().values() if each.model == model), None)

    def roles(self) -> dict[str, Variant]:
        """By role."""
        only = {"current": self.current}
        return only if self.canary is None else only | {"canary": self.canary}

    def observe(self, variant: Variant, observed: Observed, time: float) -> None:
        """A caller has been observed: look at what is not decided yet."""
        variant.sums.add(observed)
        if self.canary is None:
            return
        for metric in METRICS:
            if metric in self.decided:
                continue
            difference = of_difference(self.current.sums, self.canary.sums, metric)
            if difference is not None and difference.sign:
                callers = self.current.sums.callers + self.canary.sums.callers
                self.decided[metric] = Decision(time, callers, difference)

    def split_chance(self) -> float | None:
        """That a split of the callers lies as far from the share as this one, or farther.

        Pearson's chi-squared of two counts, with one degree of freedom. None where there is none.
        """
        if self.canary is None:
            return None
        callers = self.current.callers + self.canary.callers
        share = self.canary.share
        variance = callers * share * (1 - share)
        if not variance:
            return None
        off = self.canary.callers - callers * share
        return erfc(abs(off) / sqrt(2 * variance))
