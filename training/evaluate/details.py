"""What the evaluation tells beyond its table: for whom it is good, by how much, and what it shows.

``training/report/`` makes a page of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.histories import EvaluationSet
from training.data.new_items import Mixed
from training.evaluate import intervals
from training.evaluate.intervals import Estimate
from training.evaluate.new_items import ranked
from training.evaluate.ranking import Ranker, Ranking, ndcg_of

EXAMPLES = 10
_LATEST = 10  # items of a history that an example holds
_LIST = 10
_QUARTERS = 4
_MOST = 20_000  # users who are asked what the model would be without its memory


@dataclass(frozen=True)
class Slice:
    """A quarter of the test users, and the NDCG@10 of models there."""

    by: str  # "history" or "popularity"
    low: int  # the least of what it is by
    high: int
    users: int
    models: dict[str, Estimate]


@dataclass(frozen=True)
class Example:
    """One user of the test part, in rows of the catalogue."""

    history: list[int]  # the latest, oldest first
    length: int  # of all the history
    target: int
    best: list[int]
    rank: int  # of the target


@dataclass(frozen=True)
class MemoryGain:
    """What is counted adds to what is learned: NDCG@10 of the same users."""

    users: int
    without: float
    gain: Estimate | None


def slices(
    rankings: Mapping[str, Ranking], held_out: EvaluationSet, popularity_N: NDArray[np.int64]
) -> Iterator[Slice]:
    """By length of history, and by how often the item that came was used in training."""
    by = {"history": held_out.length, "popularity": popularity_N[held_out.target]}
    for name, value_E in by.items():
        edges = np.quantile(value_E, np.arange(1, _QUARTERS) / _QUARTERS, method="higher")
        quarter_E = np.searchsorted(np.unique(edges), value_E, side="right")
        for quarter in np.unique(quarter_E):
            at = np.flatnonzero(quarter_E == quarter)
            models = {
                model: intervals.ndcg(ranking.rank_E[at]) for model, ranking in rankings.items()
            }
            low, high = int(value_E[at].min()), int(value_E[at].max())
            yield Slice(name, low, high, len(at), models)


def examples(ranking: Ranking, held_out: EvaluationSet, seed: int) -> list[Example]:
    """Of users that a seed draws: not the best ones."""
    drawn = np.random.default_rng(seed).permutation(len(held_out.target))[:EXAMPLES]
    ends = held_out.start + held_out.length
    latest = np.maximum(held_out.start, ends - _LATEST)
    return [
        Example(
            history=held_out.items[latest[row] : ends[row]].tolist(),
            length=int(held_out.length[row]),
            target=int(held_out.target[row]),
            best=[item for item in ranking.top_EK[row, :_LIST].tolist() if item >= 0],
            rank=int(ranking.rank_E[row]),
        )
        for row in drawn
    ]


def memory_gain(
    learned: Ranker, ours: Ranker, test: Mixed, filter_seen: bool, seed: int
) -> MemoryGain:
    """Of ``learned`` alone, and what ``ours``, its sum with the memory, gains.

    Among the items that training knows: what brings new ones to scale reckons with the memory.
    """
    some = test.sample(_MOST, seed)
    known = some._replace(hidden_N=some.hidden_N | some.new_N)
    alone_E, both_E = (ranked(each, known, filter_seen).rank_E for each in (learned, ours))
    return MemoryGain(len(alone_E), ndcg_of(alone_E), intervals.gain(both_E, alone_E))
