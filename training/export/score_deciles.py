"""Deciles of the best item's score: where a service's own scores lie among them shows a drift."""

import numpy as np

from training.evaluate.ranking import Ranker, Task, scores

_HISTORIES = 500
_DECILES = np.arange(1, 10) / 10


def score_deciles(ranker: Ranker, task: Task) -> list[float]:
    """The nine of them, over some of the histories; none where there is no history."""
    some = task._replace(held_out=task.held_out.sample(_HISTORIES, seed=0))
    best = [scores_BN.max(axis=1) for _, scores_BN in scores(ranker, some)]
    return np.quantile(np.concatenate(best), _DECILES).tolist() if best else []
