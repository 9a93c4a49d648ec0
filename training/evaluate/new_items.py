"""How new items fare: found among all items, and shown as often as users take them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from training.data.histories import Part
from training.data.new_items import Mixed, NewItems
from training.evaluate import intervals
from training.evaluate.intervals import Interval
from training.evaluate.ranking import Ranker, Ranking, Task, metrics, rank

CUTOFFS = (10, 20, 50)
_LIST = 10  # of the lists that users are shown


def ranked(ranker: Ranker, mixed: Mixed, filter_seen: bool, top: int = 0) -> Ranking:
    """Rank what is in the catalogue for every event."""
    return rank(ranker, Task.of(mixed, filter_seen), top)


def _shown(ranking: Ranking, new_N: NDArray[np.bool_]) -> float:
    """Share of new items among the best ten."""
    best_EK = ranking.top_EK[:, :_LIST]
    return float(new_N[best_EK[best_EK >= 0]].mean())


@dataclass(frozen=True)
class NewItemsTable:
    """Metrics of every model: of new items alone, and of what is taken, known or new."""

    models: dict[str, dict[str, float]]
    cold: int  # events with a new item
    mixed: int  # all events
    taken: float  # share of new items among these
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)

    @classmethod
    def of(cls, rankers: dict[str, Ranker], new: NewItems, filter_seen: bool) -> "NewItemsTable":
        """Evaluate all of them on the test part."""
        cold, mixed = new.cold(Part.TEST), new.mixed(Part.TEST, filter_seen=filter_seen)
        new_N, models, edges = mixed.new_N | new.unused_N(), {}, {}
        for name, ranker in rankers.items():
            of_new = ranked(ranker, cold, filter_seen)
            found = metrics(of_new, len(cold.new_N), CUTOFFS)
            sure = intervals.of_ranking(of_new, CUTOFFS, cold.held_out.user)
            every = ranked(ranker, mixed, filter_seen, _LIST)
            models[name] = {
                **{f"new recall@{k}": found[f"recall@{k}"] for k in CUTOFFS},
                "mixed ndcg@10": metrics(every, len(mixed.new_N), (_LIST,))["ndcg@10"],
                "new shown": _shown(every, new_N),
            }
            edges[name] = {f"new recall@{k}": sure[f"recall@{k}"] for k in CUTOFFS}
        taken = mixed.taken()
        return cls(models, len(cold.held_out.target), len(taken), float(taken.mean()), edges)

    def as_json(self) -> dict[str, Any]:
        """What ``evaluation.json`` holds of it."""
        return {
            "new": self.cold,
            "events": self.mixed,
            "taken": self.taken,
            "models": self.models,
            "intervals": self.intervals,
        }

    def print(self, console: Console | None = None) -> None:
        """Print the table."""
        table = Table(
            title=f"New items, that training never saw: {self.cold:,} events, among all items",
            caption=f"R: recall of new items; mixed: of {self.mixed:,} events, of which "
            f"{self.taken:.1%} take a new item; shown: share of new items",
        )
        table.add_column("model")
        for metric in next(iter(self.models.values())):
            name = metric.removeprefix("new ").replace("recall", "R").replace("ndcg", "NDCG")
            table.add_column(name, justify="right")
        for model, of in self.models.items():
            table.add_row(model, *(f"{value:.4f}" for value in of.values()))
        (console or Console()).print(table)
