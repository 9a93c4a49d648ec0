"""What the jobs left, as figures of every event, and from those the rows of ``cold.json``."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.cold.models import MAIN
from benchmarks.accuracy.cold.store import KINDS, ColdStore, Events, Judged
from benchmarks.accuracy.statistics import RESAMPLES, Interval, edges, hits

RECALLS = (10, 20, 50)
METRICS = (*(f"recall@{k}" for k in RECALLS), "ndcg@10")
SHOWN, TAKEN, USERS = "new shown@10", "new taken", "users"
Floats = NDArray[np.float64]


class Resampled:
    """Means of events under resampling of whole groups of them: users, or items."""

    def __init__(self, group_E: NDArray[np.int64]) -> None:
        names, self.group_E = np.unique(group_E, return_inverse=True)
        each = np.full(len(names), 1 / len(names))
        random = np.random.default_rng(0)
        self.count_RG = random.multinomial(len(names), each, RESAMPLES).astype(np.float32)
        self.size_R = self._sums(np.ones(len(group_E)))

    def mean(self, values_E: Floats) -> Interval:
        """The mean over events."""
        return Interval(float(values_E.mean()), *edges(self._sums(values_E) / self.size_R))

    def ratio(self, ours_E: Floats, theirs_E: Floats) -> Interval:
        """Ours as a multiple of theirs."""
        ratios_R = self._sums(ours_E) / np.maximum(self._sums(theirs_E), 1e-12)
        return Interval(float(ours_E.mean() / max(theirs_E.mean(), 1e-12)), *edges(ratios_R))

    def _sums(self, values_E: Floats) -> Floats:
        groups = self.count_RG.shape[1]
        sums_G = np.bincount(self.group_E, weights=values_E, minlength=groups)
        sums_R: Floats = (self.count_RG @ sums_G).astype(np.float64)
        return sums_R


@dataclass(frozen=True)
class Cold:
    """All that is finished on one data set."""

    dataset: str
    events: Events
    models: dict[str, dict[int, Judged]]  # by seed

    @cached_property
    def by_user(self) -> dict[str, Resampled]:
        """Resampling of users, by kind of events."""
        return {kind: Resampled(of["user"]) for kind, of in self.events.kinds.items()}

    @cached_property
    def by_item(self) -> dict[str, Resampled]:
        """Resampling of the items that are taken."""
        return {kind: Resampled(of["target"]) for kind, of in self.events.kinds.items()}

    @property
    def main(self) -> str | None:
        """What a run makes, where that was measured."""
        return next((name for name in MAIN if name in self.models), None)

    @property
    def taken(self) -> float:
        """Share of new items among all that is taken."""
        return float(self.events.kinds["all-all"]["new"].mean())

    def values(self, model: str, kind: str, metric: str) -> Floats:
        """A figure an event, the mean over seeds."""
        each = [metric_of(judged[kind], metric) for judged in self.models[model].values()]
        mean_E: Floats = np.mean(each, axis=0)
        return mean_E

    def shown(self, model: str) -> Floats:
        """Share of new items among the ten that are shown, an event."""
        share_E: Floats = np.mean([of["shown"] for of in self.models[model].values()], axis=0) / 10
        return share_E

    def rows(self) -> Iterator[dict[str, Any]]:
        """As ``cold.json`` has them: intervals by users, and by items as ``item_ci_``."""
        for model in self.models:
            for kind in KINDS:
                for metric in METRICS:
                    yield self._row(model, kind, metric, self.values(model, kind, metric))
            yield self._row(model, "all-all", SHOWN, self.shown(model))
        yield self._row(USERS, "all-all", TAKEN, self.events.kinds["all-all"]["new"].astype(float))

    def _row(self, model: str, kind: str, metric: str, values_E: Floats) -> dict[str, Any]:
        users, items = (by[kind].mean(values_E) for by in (self.by_user, self.by_item))
        candidates, targets = kind.split("-")
        return {
            "dataset": self.dataset,
            "split": self.events.split,
            "cold_share": self.events.cold_share,
            "model": model,
            "candidates": candidates,
            "targets": targets,
            "metric": metric,
            "mean": round(users.mean, 6),
            "ci_low": round(users.low, 6),
            "ci_high": round(users.high, 6),
            "item_ci_low": round(items.low, 6),
            "item_ci_high": round(items.high, 6),
            "seeds": 1 if model == USERS else len(self.models[model]),
        }


def read(store: ColdStore, dataset: str) -> Cold:
    """Everything that is kept of one data set."""
    kept = store.models(dataset)
    return Cold(
        dataset,
        store.events(dataset),
        {name: {seed: of.judged for seed, of in seeds.items()} for name, seeds in kept.items()},
    )


def metric_of(rank_E: NDArray[np.uint8], metric: str) -> Floats:
    """recall@k or ndcg@k of every event; rank 0 is far away."""
    name, cutoff = metric.split("@")
    hit_E, gain_E = hits(rank_E, int(cutoff))
    return hit_E.astype(np.float64) if name == "recall" else gain_E
