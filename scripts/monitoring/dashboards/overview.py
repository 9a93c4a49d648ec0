"""Overview: is it well? How many requests, how many fail, how long they take, what is left."""

from scripts.monitoring.objectives import OBJECTIVES, PERIOD, WINDOWS, Objective, spelled
from scripts.monitoring.panels import Dashboard, Panel, Row, lines, number, stack
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


def _left(objective: Objective) -> Panel:
    return number(
        f"Left of what may {objective.what}",
        f"Of the {objective.share:.1%} of requests to /recommend that may {objective.what} in"
        f" {spelled(PERIOD)}: 100% none did, 0% all of them are used up, below it is broken.",
        "percentunit",
        f"{objective.budget_left}{{{_JOB}}}",
        limits=(0, 0.25),
        rising=False,
    )


def _burning(objective: Objective) -> Panel:
    return lines(
        f"How fast: requests that {objective.what}",
        "Times as many as the objective allows, by window; 1 uses it up in exactly the period."
        " Alerts fire at 14.4 (1h and 5m), 6 (6h and 30m), 3 (1d and 2h) and 1 (3d and 6h).",
        "none",
        *(
            (f"{objective.recorded(seconds)}{{{_JOB}}} / {objective.share}", spelled(seconds))
            for seconds in WINDOWS
        ),
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
        Row("Objectives", (*map(_left, OBJECTIVES), *_SERVING)),
        Row("How fast the rest is used up", tuple(map(_burning, OBJECTIVES))),
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
