"""What the dashboard asks Prometheus, read from its JSON."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docker/grafana/dashboards/latency.json"


def expressions() -> list[tuple[str, str]]:
    """(panel title, PromQL) of every target; Grafana's interval is filled in as Grafana would."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "30s"))
        for panel in panels
        for target in panel["targets"]
    ]
