"""What the dashboards ask Prometheus, read from their JSON. Stdlib only."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "docker/grafana/dashboards"


def panels() -> dict[str, list[str]]:
    """PromQL of every panel; what Grafana fills in is, as it would be for everything."""
    found = {}
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            if panel["type"] != "row":
                targets = [target["expr"] for target in panel["targets"]]
                found[f"{path.stem}: {panel['title']}"] = [*map(_filled, targets)]
    return found


def _filled(expression: str) -> str:
    for name, value in (("__rate_interval", "30s"), ("job", ".*"), ("instance", ".*")):
        expression = expression.replace(f"${name}", value)
    return expression
