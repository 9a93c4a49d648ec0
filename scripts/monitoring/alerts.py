"""Alerts. What each means, and what to do, is in docs/runbook.md under its name."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from scripts.monitoring.objectives import (
    AVAILABLE,
    BATCH_AVAILABLE,
    BATCH_QUICK,
    FAST,
    HOUR,
    LEAST,
    MINUTE,
    QUICK,
    SLOW,
    Burn,
    Objective,
    Pace,
)
from scripts.monitoring.promql import ANSWERS
from scripts.monitoring.recording import DRIFT

RUNBOOK = "https://github.com/bbqrec/bbqrec/blob/main/docs/runbook.md"
PAGE, WARN = "page", "warn"
_STALE = 0.25  # a population stability index beyond it is by convention a major shift
_COMPARED = 1000  # answers that a drift is believed of
_LAG = 10  # seconds
_INSTANCE = "{{ $labels.instance }}"
_SHARE, _DURATION = "{{ $value | humanizePercentage }}", "{{ $value | humanizeDuration }}"


class Alert(NamedTuple):
    """One rule. holds: for how many seconds before anybody is told."""

    name: str
    severity: str
    holds: int
    summary: str
    expr: str


def alerts(pace: Pace) -> list[Alert]:
    """All of them, those of the objectives first."""
    return [*_burning(pace), *_service(pace), *_logs(pace), *_model(pace)]


def _burning(pace: Pace) -> list[Alert]:
    named = (
        (AVAILABLE, "BbqrecErrorBudget"),
        (QUICK, "BbqrecLatencyBudget"),
        (BATCH_AVAILABLE, "BbqrecBatchErrorBudget"),
        (BATCH_QUICK, "BbqrecBatchLatencyBudget"),
    )
    paces = (("Fast", PAGE, 2 * MINUTE, FAST), ("Slow", WARN, 15 * MINUTE, SLOW))
    return [
        Alert(
            f"{name}{how}",
            severity,
            holds,
            f"{_SHARE} of {objective.of} {objective.what}: the budget of a month will not last.",
            _burns(objective, burns, pace),
        )
        for objective, name in named
        for how, severity, holds, burns in paces
    ]


def _burns(objective: Objective, burns: Sequence[Burn], pace: Pace) -> str:
    """Both windows of any: the long one so that it matters, the short one so that it still goes on.

    Without traffic there is no ratio, and a handful of requests wakes nobody.
    """
    return " or ".join(
        f"({objective.recorded(burn.long)} > {burn.factor * objective.share:g}"
        f" and {objective.recorded(burn.short)} > {burn.factor * objective.share:g}"
        f" and ({objective.bad_ones(pace.window(burn.long), 'increase')}) >= {LEAST})"
        for burn in burns
    )


def _service(pace: Pace) -> list[Alert]:
    return [
        Alert(
            "BbqrecDown", PAGE, 30,
            "The service{{ with $labels.instance }} at {{ . }}{{ end }} answers no scrape.",
            # Where targets are names that are looked up, one that is gone is none, and has no `up`.
            'up{job="bbqrec"} == 0 or absent(up{job="bbqrec"})',
        ),
        Alert(
            "BbqrecQueueFull", WARN, 2 * MINUTE,
            f"{_INSTANCE} has {_SHARE} of the requests that it lets in: more are refused.",
            "max by (instance)"
            f" (avg_over_time(bbqrec_admission_used[{pace.window(MINUTE)}])) > 0.8",
        ),
        Alert(
            "BbqrecGpuMissing", PAGE, MINUTE,
            f"{_INSTANCE} was asked for a GPU and computes on {{{{ $labels.provider }}}}.",
            'max by (instance, provider) (bbqrec_provider_info{provider!~".*cuda.*"}) == 1'
            ' and on (instance) bbqrec_provider_asked_info{provider=~".*cuda.*"} == 1',
        ),
        Alert(
            "BbqrecRedisAway", WARN, 5 * MINUTE,
            f"{_INSTANCE} goes on without the Redis of codes, which fails.",
            "max by (instance) (bbqrec_cache_away) > 0",
        ),
    ]  # fmt: skip


def _logs(pace: Pace) -> list[Alert]:
    return [
        Alert(
            "BbqrecLogLags", PAGE, MINUTE,
            f"{_INSTANCE} is {_DURATION} behind the log of changes.",
            f"max by (instance) (bbqrec_log_lag_seconds) > {_LAG}",
        ),
        Alert(
            "BbqrecEventsLag", PAGE, MINUTE,
            f"{_INSTANCE} has not heard what users do for {_DURATION}.",
            f"max by (instance) (bbqrec_events_lag_seconds) > {_LAG}",
        ),
        Alert(
            "BbqrecEventsLost", WARN, 5 * MINUTE,
            f"{_INSTANCE} does not keep what it recommends: its log fails.",
            "sum by (instance)"
            f' (rate(bbqrec_events_total{{result="lost"}}[{pace.window(5 * MINUTE)}])) > 0',
        ),
        Alert(
            "BbqrecEventsUnstored", WARN, MINUTE,
            f"{_INSTANCE} has had events in no file for {_DURATION}: their log grows.",
            f"max by (instance) (bbqrec_events_unstored_seconds) > {10 * MINUTE / pace.faster:g}",
        ),
    ]  # fmt: skip


def _model(pace: Pace) -> list[Alert]:
    window = pace.window(15 * MINUTE)
    return [
        Alert(
            "BbqrecLoadFails", PAGE, MINUTE,
            "What should serve as {{ $labels.role }} cannot; the one before does. /model says why.",
            "max by (instance, role) (bbqrec_load_failing) > 0",
        ),
        Alert(
            "BbqrecBundleChanged", PAGE, 0,
            "Somebody wrote over files that are in service: activate another bundle.",
            "max by (instance) (bbqrec_bundle_changed) > 0",
        ),
        Alert(
            "BbqrecScenariosRefused", WARN, MINUTE,
            f"The file of scenarios has a fault: {_INSTANCE} goes by the one before.",
            "max by (instance) (bbqrec_scenarios_refused) > 0",
        ),
        Alert(
            "BbqrecMostlyPopular", WARN, 15 * MINUTE,
            f"{_SHARE} of histories are unknown: is the bundle out of date?",
            f"sum by (job) (rate(bbqrec_fallbacks_total[{window}]))"
            f" / (sum by (job) (rate({ANSWERS}[{window}])) > 0) > 0.5",
        ),
        Alert(
            "BbqrecScoresDrift", WARN, 15 * MINUTE,
            "Best scores are not what they were at export: drift {{ $value | humanize }}.",
            f"{DRIFT} > {_STALE} and sum by (job)"
            f" (increase(bbqrec_score_decile_total[{pace.window(HOUR)}])) >= {_COMPARED}",
        ),
    ]  # fmt: skip


def rules(pace: Pace) -> dict[str, Any]:
    """What ``alerts.yml`` holds."""
    return {"groups": [{"name": "bbqrec", "rules": [_rule(alert, pace) for alert in alerts(pace)]}]}


def _rule(alert: Alert, pace: Pace) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **({"for": pace.wait(alert.holds)} if alert.holds else {}),
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook_url": runbook(alert.name)},
    }


def runbook(name: str) -> str:
    """Where it is told what to do."""
    return f"{RUNBOOK}#{name.lower()}"
