"""Every file that is made, and what is in it."""

from pathlib import Path
from typing import Any

import yaml

from scripts.monitoring import alert_cases, alerts, recording
from scripts.monitoring.dashboards import DASHBOARDS
from scripts.monitoring.objectives import Pace
from scripts.monitoring.panels import as_json

ROOT = Path(__file__).parents[2]
RULES, ALERTS, CASES = "rules.yml", "alerts.yml", "alerts.test.yml"
_MADE = "# Made by `python -m scripts.monitoring`; not to be edited by hand.\n"


def files() -> dict[Path, str]:
    """By their path in the project."""
    dashboards = {
        Path("docker/grafana/dashboards", f"{name}.json"): as_json(dashboard)
        for name, dashboard in DASHBOARDS.items()
    }
    made = rule_files(Pace()) | {CASES: _yaml(alert_cases.tests([RULES, ALERTS]))}
    return dashboards | {Path("docker/prometheus", name): text for name, text in made.items()}


def rule_files(pace: Pace) -> dict[str, str]:
    """What Prometheus loads, by name."""
    return {RULES: _yaml(recording.rules(pace)), ALERTS: _yaml(alerts.rules(pace))}


def _yaml(content: dict[str, Any]) -> str:
    return _MADE + yaml.safe_dump(content, sort_keys=False, width=100)
