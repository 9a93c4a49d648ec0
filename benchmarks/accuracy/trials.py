"""Hyper-parameter trials: every one is kept, so that each model's search budget can be seen."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.models import Settings, tuned_as
from training.config import RunConfig

# Where a search may go, the most promising first; the same for every learned model.
LADDERS: dict[str, tuple[float, ...]] = {
    "fit.blocks": (1, 2, 3, 4),
    "fit.learning_rate": (2.5e-4, 5e-4, 1e-3, 2e-3),
    "fit.dropout": (0.1, 0.2, 0.3, 0.4, 0.5),
    "fit.negatives": (256, 512, 1024, 2048),
    "fit.id_dropout": (0.0, 0.1, 0.2),
    "fit.batch_tokens": (1024, 2048, 4096),
    "fit.heads": (1, 2, 4),
    "fit.averaging": (0.99, 0.998, 0.9995),
    "fit.width": (32, 64, 128),
    "fit.weight_decay": (0.0, 0.01),
}
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

    def next(
        self, dataset: str, model: str, configure: Callable[[Settings], RunConfig]
    ) -> Settings | None:
        """The first step up or down a ladder from the best settings that was not tried yet."""
        made = self._of(dataset, model)
        best = self.choose(dataset, model).settings
        tried = [configure(trial["settings"]) for trial in made]
        steps = _steps(best, configure(best)) if made else iter([best])
        return next((step for step in steps if configure(step) not in tried), None)

    def count(self, dataset: str, model: str) -> int:
        """How many a model had."""
        return len(self._of(dataset, model))

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


def _steps(settings: Settings, config: RunConfig) -> Iterator[Settings]:
    for name, ladder in LADDERS.items():
        section, setting = name.split(".")
        now = getattr(getattr(config, section), setting)
        below = [value for value in ladder if value < now]
        above = [value for value in ladder if value > now]
        yield from ({**settings, name: value} for value in (*above[:1], *below[-1:]))
