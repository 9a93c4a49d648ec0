"""Models that are counted: whom a model of new items has to beat."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.contract.types import FloatArray
from training.config import RunConfig
from training.data import dataset
from training.data.histories import EvaluationSet, Part, Windows
from training.data.new_items import NewItems
from training.encoders.encode import load_content
from training.evaluate import baselines
from training.evaluate.baselines import ContentKnn, ItemKnn, Popularity
from training.evaluate.ranking import Ranker, Task

_DAYS = 7


class Latest:
    """Another ranker that is shown the last ``most`` items of a history."""

    def __init__(self, ranker: Ranker, most: int) -> None:
        self.ranker = ranker
        self.most = most

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        return self.ranker.score(items, windows.latest(self.most))


class PopularLately:
    """What everybody took in the days before: it counts on while it is evaluated.

    An event is the interaction that follows its window, of histories that hold all of them.
    """

    def __init__(
        self, seconds: NDArray[np.int64], items: NDArray[np.int32], catalogue_size: int, days: int
    ) -> None:
        order = np.argsort(seconds, kind="stable")
        self.seconds, self.by_time, self.at = seconds[order], items[order], seconds
        self.size, self.span = catalogue_size, days * 86_400

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        now_B = self.at[windows.start + windows.length]
        first_B = np.searchsorted(self.seconds, now_B - self.span)
        last_B = np.searchsorted(self.seconds, now_B)
        bounds = zip(first_B, last_B, strict=True)
        counts = [np.bincount(self.by_time[a:b], minlength=self.size) for a, b in bounds]
        return np.array(counts, np.float32)


def ranker(model: str, config: RunConfig, new: NewItems) -> tuple[Ranker, dict[str, Any]]:
    """One of them, and what validation chose of it."""
    size, seen, known = len(new.new_in_N), config.filter_seen, new.known.up_to(Part.TRAIN)
    if model == "popularity":
        return Popularity(known, size), {}
    if model == "popular-7-days":
        log = pl.read_parquet(config.output / "prepare" / dataset.INTERACTIONS)
        return PopularLately(log["timestamp"].to_numpy(), new.whole.items, size, _DAYS), {}
    if model == "item-knn-decayed":
        similarity = baselines.item_similarity(known, size, filter_seen=seen)
        held_out = new.warm(Part.VALIDATION, filter_seen=seen).held_out
        return _decayed(lambda decay: ItemKnn(similarity, decay), held_out, size, seen)
    content_ND = load_content(config.output / "encode", size)
    if model == "content-knn-decayed":
        held_out = new.cold(Part.VALIDATION).held_out
        return _decayed(lambda decay: ContentKnn(content_ND, decay), held_out, size, seen)
    return Latest(ContentKnn(content_ND), int(model.removeprefix("content-knn-"))), {}


def _decayed(
    make: Callable[[float], Ranker], held_out: EvaluationSet, size: int, filter_seen: bool
) -> tuple[Ranker, dict[str, Any]]:
    decay = baselines.choose_decay(make, Task(held_out, size, filter_seen))
    return make(decay), {"decay": decay}
