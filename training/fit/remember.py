"""After training, what was counted is added to what was learned.

How counts are mixed is chosen by what they rank alone, then their weight beside the model's scores,
both on validation. One weight does for all: whatever a history's length or how often its last item
was seen, the best weight is about the same (docs/method.md, 4).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.contract.memory import Memory
from training.data.histories import EvaluationSet
from training.evaluate.ranking import Ranker, ndcg_of, ranks_of, scores
from training.memory.memory import MemoryRanker, Recipe, Sources, Sum, choose


def choose_recipe(
    model: Ranker,
    sources: Sources,
    alike: Sequence[float],
    weights: Sequence[float],
    validation: EvaluationSet,
    most: int,
    filter_seen: bool,
    hidden_N: NDArray[np.bool_] | None,
) -> Recipe:
    """The best on validation, what is hidden left out; of weights that are as good, the first."""
    recipe = choose(sources, alike, validation, most, filter_seen, hidden_N)
    memory = MemoryRanker(sources.mix(recipe, most))
    tried = _try_weights(model, memory, weights, validation, filter_seen, hidden_N)
    return recipe._replace(weight=max(tried, key=lambda weight: tried[weight]))


def _try_weights(
    model: Ranker,
    memory: MemoryRanker,
    weights: Sequence[float],
    validation: EvaluationSet,
    filter_seen: bool,
    hidden_N: NDArray[np.bool_] | None,
) -> dict[float, float]:
    """NDCG@10 with every weight; both score each history once."""
    size, events = memory.size, len(validation.target)
    ranks = {weight: np.zeros(events, np.int64) for weight in weights}
    learned = scores(model, validation, size, filter_seen, hidden_N)
    counted = scores(memory, validation, size, filter_seen=False)  # the first leaves out what is
    for (users, learned_BN), (_, counted_BN) in zip(learned, counted, strict=True):
        for weight, rank_E in ranks.items():
            sums_BN = learned_BN + np.float32(weight) * counted_BN
            rank_E[users] = ranks_of(validation.target[users], sums_BN)
    return {weight: ndcg_of(rank_E) for weight, rank_E in ranks.items()}


def with_memory(model: Ranker, memory: Memory | None) -> Ranker:
    """The sum that is served."""
    return Sum(model, MemoryRanker(memory)) if memory is not None else model
