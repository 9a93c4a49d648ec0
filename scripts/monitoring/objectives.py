"""What the service promises, and over which windows it is seen how fast the rest is used up.

Windows and factors are those of Google's Site Reliability Workbook, chapter 5.
"""

from typing import NamedTuple

from scripts.monitoring.promql import FAILED, GOOD, RECOMMEND

MINUTE, HOUR, DAY = 60, 3600, 86_400
PERIOD = 30 * DAY
QUICK_SECONDS = 0.1  # an edge of a bucket
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
    """A share of requests that may be bad. bad, all: selectors of counters."""

    name: str  # in metrics
    share: float
    what: str  # of a bad request
    every: str
    bad: tuple[str, ...]  # the first, less the second if there is one

    def requests(self, window: str) -> str:
        """A second."""
        return f"sum by (job) (rate({self.every}[{window}]))"

    def bad_ones(self, window: str, function: str = "rate") -> str:
        """A second, or in all."""
        parts = [f"sum by (job) ({function}({counter}[{window}]))" for counter in self.bad]
        return " - ".join(parts)

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

_REQUESTS = f"bbqrec_requests_total{{{RECOMMEND}}}"
_SECONDS = f"bbqrec_request_seconds_count{{{RECOMMEND}, {GOOD}}}"
AVAILABLE = Objective(
    name="errors",
    share=0.001,
    what="fail",
    every=_REQUESTS,
    bad=(f"bbqrec_requests_total{{{RECOMMEND}, {FAILED}}}",),
)
QUICK = Objective(
    name="slow",
    share=0.01,
    what=f"take longer than {1000 * QUICK_SECONDS:g} ms",
    every=_SECONDS,
    bad=(_SECONDS, f'bbqrec_request_seconds_bucket{{{RECOMMEND}, {GOOD}, le="{QUICK_SECONDS}"}}'),
)
OBJECTIVES = (AVAILABLE, QUICK)


def spelled(seconds: int) -> str:
    """As PromQL writes a duration."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"
