"""Ask a live Prometheus what every panel asks; each must get data. Stdlib only."""

import json
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.compose.dashboard import panels


def ask(server: str, expression: str) -> list[Any]:
    """The result vector of an instant query."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{server}/api/v1/query?{query}", timeout=10) as response:
        result: list[Any] = json.load(response)["data"]["result"]
    return result


def main(server: str, patience: float = 40) -> None:
    """Fail with the panels that stay empty; a fresh Prometheus needs a few scrapes first."""
    deadline = time.monotonic() + patience
    empty = panels()
    while empty and time.monotonic() < deadline:
        empty = {
            title: asked for title, asked in empty.items() if not any(ask(server, e) for e in asked)
        }
        time.sleep(1)
    if empty:
        sys.exit("\n".join(f"no data for {title}: {asked}" for title, asked in empty.items()))
    print(f"checks: all {len(panels())} panels of the dashboards have data")


if __name__ == "__main__":
    main(sys.argv[1])
