"""After training, what was counted is added to what was learned.

How counts are mixed is chosen by what they rank alone, then their weight beside the model's scores,
both on validation. One weight does for all: whatever a history's length or how often its last item
was seen, the best weight is about the same (docs/method.md, 4).
"""

from collections.abc import Sequence

import numpy as np

from models.contract.memory import Memory
from training.evaluate.ranking import Ranker, Task, ndcg_of, ranks_of, scores
from training.memory.memory import MemoryRanker, Recipe, Sources, Sum, choose


def choose_recipe(
    model: Ranker,
    sources: Sources,
    alike: Sequence[float],
    weights: Sequence[float],
    validation: Task,
) -> Recipe:
    """The best on validation; of weights that are as good, the first."""
    recipe = choose(sources, alike, validation)
    tried = _try_weights(model, MemoryRanker(sources.mix(recipe)), weights, validation)
    return recipe._replace(weight=max(tried, key=lambda weight: tried[weight]))


def _try_weights(
    model: Ranker, memory: MemoryRanker, weights: Sequence[float], validation: Task
) -> dict[float, float]:
    """NDCG@10 with every weight; model and memory score each history once for all of them."""
    target_E = validation.held_out.target
    ranks = {weight: np.zeros(len(target_E), np.int64) for weight in weights}
    learned = scores(model, validation)  # what is to be left out is, once
    counted = scores(memory, validation._replace(filter_seen=False, hidden_N=None))
    for (users, learned_BN), (_, counted_BN) in zip(learned, counted, strict=True):
        for weight, rank_E in ranks.items():
            sums_BN = learned_BN + np.float32(weight) * counted_BN
            rank_E[users] = ranks_of(target_E[users], sums_BN)
    return {weight: ndcg_of(rank_E) for weight, rank_E in ranks.items()}


def with_memory(model: Ranker, memory: Memory | None) -> Ranker:
    """The sum of model and memory, as it is served; the model where there is no memory."""
    return Sum(model, MemoryRanker(memory)) if memory is not None else model
