"""For each alert, series under which it fires, and such under which it does not."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scripts.monitoring.alerts import alerts, runbook
from scripts.monitoring.objectives import Pace

Series = Mapping[str, str]
_HERE = {"instance": "a"}
_JOB = {"job": "bbqrec"}


class Fires(NamedTuple):
    """An alert that is silent at first and fires then. labels: besides its severity."""

    alert: str
    series: Series
    silent: str
    at: str
    labels: Mapping[str, str]
    summary: str
    interval: str = "15s"


class Silent(NamedTuple):
    """An alert that does not fire."""

    alert: str
    why: str
    series: Series
    at: str
    interval: str = "15s"


def _answers(ok: str, failed: str, route: str = "/recommend") -> dict[str, str]:
    """Requests to a route."""
    return {
        f'bbqrec_requests_total{{job="bbqrec",route="{route}",status="200"}}': ok,
        f'bbqrec_requests_total{{job="bbqrec",route="{route}",status="500"}}': failed,
    }


def _batches(ok: str, failed: str, partly: str) -> Series:
    """partly: those of the first that lack an answer."""
    lacking = {'bbqrec_batch_failures_total{job="bbqrec",status="504"}': partly}
    return _answers(ok, failed, "/recommend/batch") | lacking


def _times(all_: str, quick: str, route: str = "/recommend", edge: str = "0.1") -> Series:
    """Of requests to a route that were answered."""
    labels = f'job="bbqrec",route="{route}",status="200"'
    return {
        f"bbqrec_request_seconds_count{{{labels}}}": all_,
        f'bbqrec_request_seconds_bucket{{{labels},le="{edge}"}}': quick,
    }


def _batch_times(all_: str, quick: str) -> Series:
    return _times(all_, quick, "/recommend/batch", "1.0")


def _deciles(lowest: str, others: str) -> Series:
    each = dict.fromkeys(range(1, 10), others) | {0: lowest}
    name = "bbqrec_score_decile_total"
    return {f'{name}{{job="bbqrec",decile="{n}"}}': values for n, values in each.items()}


def _gauge(name: str, values: str, **labels: str) -> dict[str, str]:
    told = ",".join(f'{label}="{value}"' for label, value in ({"instance": "a"} | labels).items())
    return {f"bbqrec_{name}{{{told}}}": values}


def _provider(active: str) -> Series:
    return _gauge("provider_info", "1x40", provider=active) | _gauge(
        "provider_asked_info", "1x40", provider="cuda"
    )


_ANSWERED = 'bbqrec_answer_seconds_count{job="bbqrec",role="current"}'
_POPULAR = 'bbqrec_fallbacks_total{job="bbqrec",reason="popular"}'
_LOST = _gauge("events_total", "0x8 0+15x24 360x40", result="lost")
_FAILS = _gauge("load_failing", "0x8 1x16 0x8", role="current")
_ERRORS = "of requests fail: the budget of a month will not last."
_SLOW = "of requests take longer than 100 ms: the budget of a month will not last."
_BATCH_ERRORS = "of batches fail: the budget of a month will not last."
_BATCH_SLOW = "of batches take longer than 1 s: the budget of a month will not last."

CASES: tuple[Fires | Silent, ...] = (
    Fires(
        "BbqrecErrorBudgetFast", _answers("0+90x60", "0+10x60"),
        silent="1m", at="10m", labels=_JOB, summary=f"10% {_ERRORS}", interval="1m",
    ),
    Silent("BbqrecErrorBudgetFast", "five times", _answers("0+199x60", "0+1x60"), "20m", "1m"),
    Silent("BbqrecErrorBudgetFast", "no traffic", _answers("90x60", "10x60"), "20m", "1m"),
    Silent("BbqrecErrorBudgetFast", "a handful", _answers("0x60", "0 1 2 3 3x57"), "5m", "1m"),
    Fires(
        "BbqrecErrorBudgetSlow", _answers("0+199x60", "0+1x60"),
        silent="5m", at="30m", labels=_JOB, summary=f"0.5% {_ERRORS}", interval="1m",
    ),
    Silent("BbqrecErrorBudgetSlow", "half of it", _answers("0+1999x60", "0+1x60"), "20m", "1m"),
    Silent("BbqrecErrorBudgetSlow", "no traffic", _answers("90x60", "10x60"), "20m", "1m"),
    Fires(
        "BbqrecLatencyBudgetFast", _times("0+100x60", "0+80x60"),
        silent="1m", at="10m", labels=_JOB, summary=f"20% {_SLOW}", interval="1m",
    ),
    Silent("BbqrecLatencyBudgetFast", "five times", _times("0+100x60", "0+95x60"), "20m", "1m"),
    Silent("BbqrecLatencyBudgetFast", "no traffic", _times("100x60", "80x60"), "20m", "1m"),
    Fires(
        "BbqrecLatencyBudgetSlow", _times("0+100x60", "0+95x60"),
        silent="5m", at="20m", labels=_JOB, summary=f"5% {_SLOW}", interval="1m",
    ),
    Silent("BbqrecLatencyBudgetSlow", "half of it", _times("0+200x60", "0+199x60"), "20m", "1m"),
    Fires(
        "BbqrecBatchErrorBudgetFast", _batches("0+90x60", "0+10x60", "0x60"),
        silent="1m", at="10m", labels=_JOB, summary=f"10% {_BATCH_ERRORS}", interval="1m",
    ),
    Fires(
        "BbqrecBatchErrorBudgetFast", _batches("0+100x60", "0x60", "0+10x60"),
        silent="1m", at="10m", labels=_JOB, summary=f"10% {_BATCH_ERRORS}", interval="1m",
    ),
    Silent(
        "BbqrecBatchErrorBudgetFast", "five times",
        _batches("0+199x60", "0+1x60", "0x60"), "20m", "1m",
    ),
    Silent(
        "BbqrecBatchErrorBudgetFast", "single requests fail", _answers("0+90x60", "0+10x60"),
        "20m", "1m",
    ),
    Silent(
        "BbqrecErrorBudgetFast", "batches fail",
        _batches("0x60", "0+9x60", "0x60"), "20m", "1m",
    ),
    Fires(
        "BbqrecBatchErrorBudgetSlow", _batches("0+200x60", "0x60", "0+1x60"),
        silent="5m", at="30m", labels=_JOB, summary=f"0.5% {_BATCH_ERRORS}", interval="1m",
    ),
    Silent(
        "BbqrecBatchErrorBudgetSlow", "half of it",
        _batches("0+1999x60", "0+1x60", "0x60"), "20m", "1m",
    ),
    Fires(
        "BbqrecBatchLatencyBudgetFast", _batch_times("0+100x60", "0+80x60"),
        silent="1m", at="10m", labels=_JOB, summary=f"20% {_BATCH_SLOW}", interval="1m",
    ),
    Silent(
        "BbqrecBatchLatencyBudgetFast", "five times",
        _batch_times("0+100x60", "0+95x60"), "20m", "1m",
    ),
    Silent(
        "BbqrecBatchLatencyBudgetFast", "no traffic",
        _batch_times("100x60", "80x60"), "20m", "1m",
    ),
    Fires(
        "BbqrecBatchLatencyBudgetSlow", _batch_times("0+100x60", "0+95x60"),
        silent="5m", at="20m", labels=_JOB, summary=f"5% {_BATCH_SLOW}", interval="1m",
    ),
    Silent(
        "BbqrecBatchLatencyBudgetSlow", "half of it",
        _batch_times("0+200x60", "0+199x60"), "20m", "1m",
    ),
    Fires(
        "BbqrecDown", {'up{job="bbqrec",instance="a"}': "1x4 0x8"},
        silent="1m", at="2m", labels=_JOB | _HERE, summary="The service at a answers no scrape.",
    ),
    Fires(
        "BbqrecDown", {'up{job="bbqrec",instance="a"}': "1x4 stale"},
        silent="1m", at="7m", labels=_JOB, summary="The service answers no scrape.",
    ),
    Silent("BbqrecDown", "a scrape missed", {'up{job="bbqrec",instance="a"}': "1 0 1x20"}, "1m"),
    Fires(
        "BbqrecQueueFull", _gauge("admission_used", "0.5x8 1x32"),
        silent="3m", at="8m", labels=_HERE,
        summary="a has 100% of the requests that it lets in: more are refused.",
    ),
    Silent("BbqrecQueueFull", "busy", _gauge("admission_used", "0.7x40"), "8m"),
    Fires(
        "BbqrecGpuMissing", _provider("onnx-cpu"),
        silent="30s", at="2m", labels=_HERE | {"provider": "onnx-cpu"},
        summary="a was asked for a GPU and computes on onnx-cpu.",
    ),
    Silent("BbqrecGpuMissing", "it has it", _provider("onnx-cuda"), "5m"),
    Silent(
        "BbqrecGpuMissing", "nobody asked",
        _gauge("provider_info", "1x40", provider="onnx-cpu")
        | _gauge("provider_asked_info", "1x40", provider="cpu"),
        "5m",
    ),
    Fires(
        "BbqrecRedisAway", _gauge("cache_away", "0x8 1x40"),
        silent="6m", at="8m", labels=_HERE,
        summary="a goes on without the Redis of codes, which fails.",
    ),
    Silent("BbqrecRedisAway", "a hiccup", _gauge("cache_away", "0x4 1x2 0x40"), "8m"),
    Fires(
        "BbqrecLogLags", _gauge("log_lag_seconds", "0x20 20x20 0x40"),
        silent="5m", at="8m", labels=_HERE, summary="a is 20s behind the log of changes.",
    ),
    Silent("BbqrecLogLags", "caught up", _gauge("log_lag_seconds", "0x20 20x20 0x40"), "12m"),
    Fires(
        "BbqrecEventsLag", _gauge("events_lag_seconds", "0x20 20x20 0x40"),
        silent="5m", at="8m", labels=_HERE, summary="a has not heard what users do for 20s.",
    ),
    Silent("BbqrecEventsLag", "caught up", _gauge("events_lag_seconds", "0x20 20x20 0x40"), "12m"),
    Fires(
        "BbqrecEventsLost", _LOST,
        silent="2m", at="9m", labels=_HERE,
        summary="a does not keep what it recommends: its log fails.",
    ),
    Silent("BbqrecEventsLost", "kept again", _LOST, "15m"),
    Fires(
        "BbqrecEventsUnstored", _gauge("events_unstored_seconds", "0+15x80"),
        silent="10m", at="12m", labels=_HERE,
        summary="a has had events in no file for 12m 0s: their log grows.",
    ),
    Silent("BbqrecEventsUnstored", "in time", _gauge("events_unstored_seconds", "60x80"), "15m"),
    Fires(
        "BbqrecLoadFails", _FAILS,
        silent="2m", at="5m", labels=_HERE | {"role": "current"},
        summary="What should serve as current cannot; the one before does. /model says why.",
    ),
    Silent("BbqrecLoadFails", "another serves", _FAILS, "7m"),
    Fires(
        "BbqrecBundleChanged", _gauge("bundle_changed", "0x8 1x16"),
        silent="1m", at="5m", labels=_HERE,
        summary="Somebody wrote over files that are in service: activate another bundle.",
    ),
    Silent("BbqrecBundleChanged", "untouched", _gauge("bundle_changed", "0x40"), "8m"),
    Fires(
        "BbqrecScenariosRefused", _gauge("scenarios_refused", "0x8 1x16"),
        silent="2m", at="5m", labels=_HERE,
        summary="The file of scenarios has a fault: a goes by the one before.",
    ),
    Silent("BbqrecScenariosRefused", "in order", _gauge("scenarios_refused", "0x40"), "8m"),
    Fires(
        "BbqrecMostlyPopular",
        {_ANSWERED: "0+10x200", _POPULAR: "0+8x200"},
        silent="10m", at="20m", labels=_JOB,
        summary="80% of histories are unknown: is the bundle out of date?",
    ),
    Silent(
        "BbqrecMostlyPopular", "one in ten",
        {_ANSWERED: "0+10x200", _POPULAR: "0+1x200"},
        "20m",
    ),
    Silent(
        "BbqrecMostlyPopular", "one in ten, mostly asked for in batches",
        _answers("0+1x200", "0x200") | {_ANSWERED: "0+10x200", _POPULAR: "0+1x200"},
        "20m",
    ),
    Fires(
        "BbqrecScoresDrift", _deciles("0+910x60", "0+10x60"),
        silent="5m", at="20m", labels=_JOB,
        summary="Best scores are not what they were at export: drift 3.654.", interval="1m",
    ),
    Silent("BbqrecScoresDrift", "all alike", _deciles("0+100x60", "0+100x60"), "20m", "1m"),
    Silent("BbqrecScoresDrift", "few answers", _deciles("0+5x60", "0x60"), "20m", "1m"),
)  # fmt: skip


def tests(rule_files: Sequence[str]) -> dict[str, Any]:
    """What ``promtool test rules`` reads."""
    severity = {alert.name: alert.severity for alert in alerts(Pace())}
    return {
        "rule_files": [*rule_files],
        "evaluation_interval": "30s",
        "tests": [_test(case, severity[case.alert]) for case in CASES],
    }


def _test(case: Fires | Silent, severity: str) -> dict[str, Any]:
    quiet: dict[str, Any] = {"alertname": case.alert, "exp_alerts": []}
    if isinstance(case, Silent):
        checks = [{"eval_time": case.at, **quiet}]
        name = f"{case.alert} is silent: {case.why}"
    else:
        expected = {
            "exp_labels": {"severity": severity, **case.labels},
            "exp_annotations": {"summary": case.summary, "runbook_url": runbook(case.alert)},
        }
        checks = [
            {"eval_time": case.silent, **quiet},
            {"eval_time": case.at, "alertname": case.alert, "exp_alerts": [expected]},
        ]
        name = f"{case.alert} fires"
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    return {
        "name": name,
        "interval": case.interval,
        "input_series": series,
        "alert_rule_test": checks,
    }
