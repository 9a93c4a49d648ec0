"""Hyper-parameter trials: every one is kept, so that each model's search budget can be seen."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.models import Settings, tuned_as

# The same for every learned model: equal budgets.
SPACE: tuple[Settings, ...] = tuple(
    {"fit.width": width, "fit.dropout": dropout} for width in (64, 128) for dropout in (0.3, 0.5)
)
FALLBACK = "beauty"  # a data set without a search of its own takes the settings found here


class Choice(NamedTuple):
    """Settings and where they come from."""

    settings: Settings
    searched_on: str | None  # None: no search, the configuration as it stands


class Trials:
    """The trials in a JSON-lines file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[dict[str, Any]]:
        """Every trial, in the order in which they were made."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def has(self, dataset: str, model: str, settings: Settings) -> bool:
        """Whether this trial was made."""
        return any(trial["settings"] == settings for trial in self._of(dataset, model))

    def add(self, trial: dict[str, Any]) -> None:
        """Keep one more."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(trial) + "\n")

    def choose(self, dataset: str, model: str) -> Choice:
        """The settings with the best validation NDCG@10."""
        for searched in (dataset, FALLBACK):
            if made := self._of(searched, tuned_as(model)):
                best = max(made, key=lambda trial: float(trial["validation_ndcg@10"]))
                return Choice(best["settings"], searched)
        return Choice({}, None)

    def _of(self, dataset: str, model: str) -> list[dict[str, Any]]:
        return [t for t in self.all() if (t["dataset"], t["model"]) == (dataset, model)]
