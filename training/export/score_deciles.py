"""Deciles of the best item's score: where a service's own scores lie among them shows a drift."""

import numpy as np

from training.data.histories import EvaluationSet
from training.evaluate.ranking import Ranker, scores

_HISTORIES = 500
_DECILES = np.arange(1, 10) / 10


def score_deciles(
    ranker: Ranker, held_out: EvaluationSet, catalogue_size: int, filter_seen: bool
) -> list[float]:
    """The nine of them, over some of the histories; none where there is no history."""
    some = held_out.sample(_HISTORIES, seed=0)
    best = [
        scores_BN.max(axis=1) for _, scores_BN in scores(ranker, some, catalogue_size, filter_seen)
    ]
    return np.quantile(np.concatenate(best), _DECILES).tolist() if best else []
