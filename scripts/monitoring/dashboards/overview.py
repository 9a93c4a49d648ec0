"""Overview: is it well? How many requests, how many fail, how long they take, what is left."""

from typing import NamedTuple

from scripts.monitoring.objectives import (
    AVAILABLE,
    BATCH_AVAILABLE,
    BATCH_QUICK,
    BATCH_SECONDS,
    DAY,
    HOUR,
    PERIOD,
    QUICK,
    QUICK_SECONDS,
    WINDOWS,
    Objective,
    spelled,
)
from scripts.monitoring.panels import Dashboard, Panel, Row, Target, lines, number, stack
from scripts.monitoring.promql import (
    FAILED,
    GOOD,
    RECOMMEND,
    added,
    of,
    quantile,
    rate,
    share,
)

_JOB = 'job=~"$job"'
_SECONDS, _REQUESTS = "bbqrec_request_seconds", "bbqrec_requests_total"


class _Pair(NamedTuple):
    """An objective of requests to /recommend, and that of batches beside it: in one panel, which
    is not empty where nobody asks in batches.
    """

    what: str
    one: Objective
    batch: Objective


_PAIRS = (
    _Pair("fail", AVAILABLE, BATCH_AVAILABLE),
    _Pair(
        f"be slow ({1000 * QUICK_SECONDS:g} ms; a batch {BATCH_SECONDS:g} s)", QUICK, BATCH_QUICK
    ),
)


def _left(pair: _Pair) -> Panel:
    what = (
        f"Of the {pair.one.share:.1%} that may {pair.what} in {spelled(PERIOD)}, of requests to"
        " /recommend and of batches: 100% none did, 0% all of them are used up, below it is broken."
    )
    targets = tuple(Target(f"{o.budget_left}{{{_JOB}}}", o.of) for o in pair[1:])
    title = f"Left of what may {pair.what}"
    return Panel(title, what, "percentunit", targets, "stat", 6, (0, 0.25), rising=False)


def _burning(pair: _Pair) -> Panel:
    windows = [(pair.one, seconds) for seconds in WINDOWS]
    windows += [(pair.batch, seconds) for seconds in (HOUR, 3 * DAY)]
    return lines(
        f"How fast: what may {pair.what}",
        "Times as many as the objective allows, by window; 1 uses it up in exactly the period."
        " Alerts fire at 14.4 (1h and 5m), 6 (6h and 30m), 3 (1d and 2h) and 1 (3d and 6h).",
        "none",
        *((f"{o.recorded(s)}{{{_JOB}}} / {o.share}", f"{o.of} {spelled(s)}") for o, s in windows),
        width=12,
    )


_SERVING = (
    number(
        "Workers",
        "Processes that serve, of each replica. None: requests get 503.",
        "none",
        added("bbqrec_workers"),
        "{{instance}}",
        limits=(1, 1),
        rising=False,
    ),
    number(
        "In service",
        "The bundle in each role, as it is called by its digest: /model tells more.",
        "none",
        f"max by (role, name, digest) ({of('bbqrec_model_info')}) == 1",
        "{{role}}: {{name}} {{digest}}",
    ),
)

DASHBOARD = Dashboard(
    uid="bbqrec-overview",
    title="bbqrec overview",
    what="Rate, errors and duration, what is left of the objectives, what serves.",
    rows=(
        Row(
            "Rate, errors, duration",
            (
                lines(
                    "Requests",
                    "Answered a second, refused ones too, by route.",
                    "reqps",
                    (rate(_REQUESTS, by="route"), "{{route}}"),
                ),
                stack(
                    "Errors",
                    "Share of requests to /recommend that fail, by status. 503: refused under"
                    " overload, or no model is loaded; 504: given up at the deadline.",
                    "percentunit",
                    (
                        share(
                            rate(_REQUESTS, RECOMMEND, FAILED, by="status"),
                            rate(_REQUESTS, RECOMMEND),
                        ),
                        "{{status}}",
                    ),
                ),
                lines(
                    "Duration",
                    "Of requests to /recommend that are answered, as the service sees them.",
                    "s",
                    *(
                        (quantile(q, _SECONDS, RECOMMEND, GOOD), f"p{q * 100:g}")
                        for q in (0.5, 0.9, 0.99)
                    ),
                ),
            ),
        ),
        Row("Objectives", (*map(_left, _PAIRS), *_SERVING)),
        Row("How fast the rest is used up", tuple(map(_burning, _PAIRS))),
        Row(
            "What happens",
            (
                stack(
                    "Refused",
                    "Requests and connections refused before the application, a second, by reason.",
                    "reqps",
                    (rate("bbqrec_refused_total", by="reason"), "{{reason}}"),
                    width=12,
                ),
                lines(
                    "Alerts",
                    "Firing, by name. What to do is in docs/runbook.md.",
                    "none",
                    (
                        'count by (alertname) (ALERTS{alertstate="firing",'
                        ' alertname=~"Bbqrec.*"}) or vector(0)',
                        "{{alertname}}",
                    ),
                    width=12,
                ),
            ),
        ),
    ),
)
