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
from training.evaluate.ranking import Ranker, ndcg
from training.memory.memory import LIKENESS, MemoryRanker, Recipe, Sources, Sum, choose


def choose_recipe(
    model: Ranker,
    sources: Sources,
    weights: Sequence[float],
    validation: EvaluationSet,
    most: int,
    filter_seen: bool,
    hidden_N: NDArray[np.bool_] | None,
) -> Recipe:
    """The best on validation, what is hidden left out; of weights that are as good, the first."""
    recipe = choose(sources, LIKENESS, validation, most, filter_seen, hidden_N)
    memory = MemoryRanker(sources.mix(recipe, most))
    tried = {
        weight: ndcg(Sum(model, memory, weight), validation, memory.size, filter_seen, hidden_N)
        for weight in weights
    }
    return recipe._replace(weight=max(tried, key=lambda weight: tried[weight]))


def with_memory(model: Ranker, memory: Memory | None) -> Ranker:
    """The sum that is served."""
    return Sum(model, MemoryRanker(memory)) if memory is not None else model
