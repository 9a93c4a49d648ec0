"""PromQL that dashboards and rules are put together from. Metrics are named whole, to be found."""

RECOMMEND = 'route="/recommend"'
BATCH = 'route="/recommend/batch"'
FAILED = 'status=~"5.."'
GOOD = 'status="200"'
ANSWERS = "bbqrec_answer_seconds_count"  # recommendations, each of a batch too
# What is picked on top of a dashboard, and Grafana's idea of a window that holds enough scrapes.
PICKED = 'job=~"$job", instance=~"$instance"'
WINDOW = "$__rate_interval"


def of(metric: str, *matchers: str) -> str:
    """A selector, of what is picked on top of a dashboard."""
    return f"{metric}{{{', '.join([PICKED, *matchers])}}}"


def rate(metric: str, *matchers: str, by: str = "") -> str:
    """A second, summed."""
    return f"{_by('sum', by)} (rate({of(metric, *matchers)}[{WINDOW}]))"


def highest(metric: str, *matchers: str, by: str = "instance") -> str:
    """Of a gauge, the largest."""
    return f"{_by('max', by)} ({of(metric, *matchers)})"


def added(metric: str, *matchers: str, by: str = "instance") -> str:
    """Of a gauge, the sum."""
    return f"{_by('sum', by)} ({of(metric, *matchers)})"


def quantile(q: float, histogram: str, *matchers: str, by: str = "") -> str:
    """Of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', *matchers, by=labels)})"


def buckets(histogram: str, *matchers: str) -> str:
    """For a heat map."""
    return rate(f"{histogram}_bucket", *matchers, by="le")


def share(part: str, whole: str) -> str:
    """Between 0 and 1; nothing while there is nothing to have a share of."""
    return f"{part} / on () group_left () ({whole} > 0)"


def _by(operator: str, labels: str) -> str:
    return f"{operator} by ({labels})" if labels else operator
