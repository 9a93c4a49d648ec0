"""Recording rules: shares of bad requests by window, what is left of their budget, drift."""

from typing import Any

from scripts.monitoring.objectives import (
    HOUR,
    MINUTE,
    OBJECTIVES,
    PERIOD,
    WINDOWS,
    Objective,
    Pace,
)

DRIFT = "job:bbqrec_score:drift1h"
DECILE_SHARE = "job:bbqrec_score_decile:share1h"
_RATE = 5 * MINUTE
_TENTH = 0.1  # of answers is in each decile while nothing drifts
_RARE = 0.001  # a decile without answers would make the drift infinite


def rules(pace: Pace) -> dict[str, Any]:
    """What ``rules.yml`` holds."""
    burn = [
        _rule(objective.recorded(seconds), objective.ratio(pace.window(seconds)))
        for objective in OBJECTIVES
        for seconds in WINDOWS
    ]
    left = [rule for objective in OBJECTIVES for rule in _budget(objective, pace)]
    return {
        "groups": [
            {"name": "bbqrec-burn", "rules": burn},
            {"name": "bbqrec-budget", "interval": pace.wait(30), "rules": left},
            {"name": "bbqrec-drift", "rules": _drift(pace)},
        ]
    }


def _budget(objective: Objective, pace: Pace) -> list[dict[str, str]]:
    """Over the whole period, from rates that are recorded: a month of counters is too much."""
    window, period = pace.window(_RATE), pace.window(PERIOD)
    names = [f"job:bbqrec_{objective.name}:{what}5m" for what in ("bad_rate", "rate")]
    sums = [f"sum_over_time({name}[{period}])" for name in names]
    used = f"{sums[0]} / ({sums[1]} > 0) / {objective.share}"
    return [
        _rule(names[0], objective.bad_ones(window)),
        _rule(names[1], objective.requests(window)),
        _rule(objective.budget_left, f"1 - {used}"),
    ]


def _drift(pace: Pace) -> list[dict[str, str]]:
    """The population stability index of best scores beside the bundle's deciles."""
    counted = f"(increase(bbqrec_score_decile_total[{pace.window(HOUR)}]))"
    share = f"sum by (job, decile) {counted} / on (job) group_left () (sum by (job) {counted} > 0)"
    seen = f"clamp_min({DECILE_SHARE}, {_RARE})"
    index = f"sum by (job) (({seen} - {_TENTH}) * ln({seen} / {_TENTH}))"
    return [_rule(DECILE_SHARE, share), _rule(DRIFT, index)]


def _rule(name: str, expr: str) -> dict[str, str]:
    return {"record": name, "expr": expr}
