"""A real Prometheus that scrapes one service, with the project's own rules."""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.monitoring.ports import free_port
from scripts.monitoring.files import rule_files
from scripts.monitoring.objectives import Pace

_PATIENCE = 30.0  # seconds to start in
_LOOKBACK = "3s"  # a series that is not scraped any more ends soon
_FILLED = {"$__rate_interval": "5s", "$job": ".*", "$instance": ".*"}


class Series(NamedTuple):
    """One line: its labels, when, and what."""

    labels: dict[str, str]
    times_T: NDArray[np.float64]
    values_T: NDArray[np.float64]


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, expression: str, start: float, end: float, step: float = 1.0) -> list[Series]:
        """A range query, with what Grafana would fill in; values that are no numbers left out."""
        for name, value in _FILLED.items():
            expression = expression.replace(name, value)
        asked = {"query": expression, "start": start, "end": end, "step": step}
        found = self._get("query_range", asked)["result"]
        return [line for line in map(_series, found) if len(line.values_T)]

    def fired(self, start: float, end: float) -> dict[str, float]:
        """Alerts that were firing in that time, and when each first was."""
        found = self.ask('ALERTS{alertstate="firing"}', start, end, 0.5)
        first: dict[str, float] = {}
        for line in found:
            name, began = line.labels["alertname"], float(line.times_T[0])
            first[name] = min(began, first.get(name, began))
        return first

    def _get(self, path: str, asked: dict[str, Any]) -> Any:
        query = urllib.parse.urlencode(asked)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]


@contextmanager
def scraping(target: int, pace: Pace, folder: Path) -> Iterator[Prometheus]:
    """It scrapes the service on port ``target`` once a second, to the end of the block."""
    program = shutil.which("prometheus")
    if program is None:
        raise RuntimeError("there is no prometheus on the PATH: Debian's package has it")
    rules = rule_files(pace)
    for name, text in rules.items():
        (folder / name).write_text(text, encoding="utf-8")
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [*rules],
        "scrape_configs": [
            {"job_name": "bbqrec", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = free_port()
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "query.lookback-delta": _LOOKBACK,
    }
    command = [program, *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        made = Prometheus(port)
        _wait(made)
        yield made
    finally:
        process.terminate()
        process.wait()


def _wait(prometheus: Prometheus) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            urllib.request.urlopen(f"{prometheus.url}/-/ready", timeout=2).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _series(found: dict[str, Any]) -> Series:
    points = np.array(found["values"], np.float64).reshape(-1, 2)
    points = points[np.isfinite(points[:, 1])]
    return Series(found["metric"], points[:, 0], points[:, 1])
