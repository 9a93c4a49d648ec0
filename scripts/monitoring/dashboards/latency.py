"""Latency: where the time goes, step by step."""

from scripts.monitoring.panels import Dashboard, Panel, Row, heat, lines, number
from scripts.monitoring.promql import GOOD, RECOMMEND, buckets, quantile

_QUANTILES = (0.5, 0.9, 0.99)
_STEPS = {
    "request": "Whole requests to /recommend that are answered, as the service sees them.",
    "queue": "From submission to the start of its batch: the longest that it waits for others is"
    " the batch before its own.",
    "encode": "Histories to user vectors, a batch: the model.",
    "search": "User vectors to the best items, a batch: the catalogue.",
    "cache": "Codes of one history's items, from this process; and of live items, from Redis.",
}


def _step(name: str) -> tuple[Panel, Panel]:
    """Quantiles, and all of it."""
    metric, what = f"bbqrec_{name}_seconds", _STEPS[name]
    picked = (RECOMMEND, GOOD) if name == "request" else ()
    by, of = ("backend", " {{backend}}") if name == "cache" else ("", "")
    targets = [(quantile(q, metric, *picked, by=by), f"p{q * 100:g}{of}") for q in _QUANTILES]
    return (
        lines(name.capitalize(), what, "s", *targets, width=12),
        heat(f"{name.capitalize()}, all", what, "s", buckets(metric, *picked), width=12),
    )


def _now(q: float) -> Panel:
    return number(
        f"p{q * 100:g} of /recommend",
        f"So long or less take {q:.0%} of requests that are answered.",
        "s",
        quantile(q, "bbqrec_request_seconds", RECOMMEND, GOOD),
        limits=(0.025, 0.1),
        width=8,
    )


DASHBOARD = Dashboard(
    uid="bbqrec-latency",
    title="bbqrec latency",
    what="Request, queue, encode, search and cache; by route and by generation.",
    rows=(
        Row("Now", tuple(map(_now, _QUANTILES))),
        *(Row(name.capitalize(), _step(name)) for name in _STEPS),
        Row(
            "By route and by generation",
            (
                lines(
                    "p99 by route",
                    "Of all requests, whatever they were answered.",
                    "s",
                    (quantile(0.99, "bbqrec_request_seconds", by="route"), "{{route}}"),
                    width=12,
                ),
                lines(
                    "By generation",
                    "From the beginning of an answer to its end, by what gave it: a canary beside"
                    " what is current.",
                    "s",
                    *(
                        (
                            quantile(q, "bbqrec_answer_seconds", by="role"),
                            f"p{q * 100:g} {{{{role}}}}",
                        )
                        for q in (0.5, 0.99)
                    ),
                    width=12,
                ),
            ),
        ),
    ),
)
