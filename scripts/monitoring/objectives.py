"""What the service promises, and over which windows it is seen how fast the rest is used up.

Windows and factors are those of Google's Site Reliability Workbook, chapter 5.
"""

from typing import NamedTuple

from scripts.monitoring.promql import BATCH, FAILED, GOOD, RECOMMEND

MINUTE, HOUR, DAY = 60, 3600, 86_400
PERIOD = 30 * DAY
QUICK_SECONDS, BATCH_SECONDS = 0.1, 1.0  # edges of buckets
LEAST = 10  # bad requests: fewer are no reason to wake anybody, whatever share they are
_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (1, "s"))


class Pace(NamedTuple):
    """How long windows are: for a story that has but a minute, so many times shorter."""

    faster: float = 1.0
    least: int = 5  # seconds of a window: a few scrapes

    def window(self, seconds: int) -> str:
        """As PromQL writes it."""
        return spelled(max(self.least, round(seconds / self.faster)))

    def wait(self, seconds: int) -> str:
        """For how long an alert has to hold."""
        return spelled(max(1, round(seconds / self.faster)))


class Objective(NamedTuple):
    """A share of requests that may be bad. every, bad, less: selectors of counters."""

    name: str  # in metrics
    share: float
    of: str  # what is asked for
    what: str  # of a bad one
    every: str
    bad: tuple[str, ...]  # together
    less: tuple[str, ...] = ()  # what is counted there, too, and is not bad

    def requests(self, window: str) -> str:
        """A second."""
        return f"sum by (job) (rate({self.every}[{window}]))"

    def bad_ones(self, window: str, function: str = "rate") -> str:
        """A second, or in all."""
        bad, less = (
            [f"sum by (job) ({function}({counter}[{window}]))" for counter in counters]
            for counters in (self.bad, self.less)
        )
        return " - ".join([" + ".join(bad), *less])

    def ratio(self, window: str) -> str:
        """Share of bad ones; nothing where there is no traffic."""
        return f"({self.bad_ones(window)}) / ({self.requests(window)} > 0)"

    def recorded(self, seconds: int) -> str:
        """What that is recorded as."""
        return f"job:bbqrec_{self.name}:ratio{spelled(seconds)}"

    @property
    def budget_left(self) -> str:
        """What the rest of the budget is recorded as."""
        return f"job:bbqrec_{self.name}:budget_left"


class Burn(NamedTuple):
    """The budget goes so many times too fast, in both windows."""

    factor: float
    long: int
    short: int


FAST = (Burn(14.4, HOUR, 5 * MINUTE), Burn(6, 6 * HOUR, 30 * MINUTE))
SLOW = (Burn(3, DAY, 2 * HOUR), Burn(1, 3 * DAY, 6 * HOUR))
WINDOWS = sorted({seconds for burn in (*FAST, *SLOW) for seconds in (burn.long, burn.short)})


def _available(name: str, of: str, route: str, *bad: str) -> Objective:
    """bad: what fails although its status is none of a failure."""
    return Objective(
        name=name,
        share=0.001,
        of=of,
        what="fail",
        every=f"bbqrec_requests_total{{{route}}}",
        bad=(f"bbqrec_requests_total{{{route}, {FAILED}}}", *bad),
    )


def _quick(name: str, of: str, route: str, seconds: float) -> Objective:
    every = f"bbqrec_request_seconds_count{{{route}, {GOOD}}}"
    return Objective(
        name=name,
        share=0.01,
        of=of,
        what=f"take longer than {f'{1000 * seconds:g} ms' if seconds < 1 else f'{seconds:g} s'}",
        every=every,
        bad=(every,),
        less=(f'bbqrec_request_seconds_bucket{{{route}, {GOOD}, le="{seconds}"}}',),
    )


AVAILABLE = _available("errors", "requests", RECOMMEND)
QUICK = _quick("slow", "requests", RECOMMEND, QUICK_SECONDS)
# A batch is answered with 200 whatever becomes of those in it: one of them that fails is enough.
BATCH_AVAILABLE = _available("batch_errors", "batches", BATCH, "bbqrec_batch_failures_total")
BATCH_QUICK = _quick("batch_slow", "batches", BATCH, BATCH_SECONDS)
OBJECTIVES = (AVAILABLE, QUICK, BATCH_AVAILABLE, BATCH_QUICK)


def spelled(seconds: int) -> str:
    """As PromQL writes a duration."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"
