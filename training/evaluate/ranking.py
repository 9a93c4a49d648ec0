"""Stage evaluate: rank the full catalogue for every held-out item."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.contract.types import CodeArray, FloatArray
from models.nets.sequence import SequenceModel
from training.data.batches import cut, gather_latest
from training.data.histories import EvaluationSet, Windows, unroll

_SCORED_AT_ONCE = 3_000_000  # scores held at a time (users x catalogue), few enough for the cache


class Ranker(Protocol):
    """Anything that scores the catalogue from a history."""

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N) of all items, given each window of ``items`` as a history."""


class Ranking(NamedTuple):
    """What every metric is made from."""

    rank_E: NDArray[np.int64]  # of the held-out item, as ``ranks_of`` tells
    top_EK: NDArray[np.int64]  # the best items, for coverage; K may be 0


class SequenceRanker:
    """The sequence model as a Ranker: the latest ``max_history`` items, last position only."""

    def __init__(self, model: SequenceModel, codes_NS: CodeArray) -> None:
        self.model = model.eval()
        self.codes_NS = torch.from_numpy(codes_NS.astype(np.int64))
        device = model.seen.device
        self.codes_NS = self.codes_NS.to(device)
        with torch.inference_mode():
            everything_N = torch.arange(len(codes_NS), device=device)
            self.item_vectors_ND = model.represent(self.codes_NS, everything_N)

    @torch.inference_mode()
    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        batch = gather_latest(items, windows, self.model.config.max_history)
        items_BT = batch.items_BT.to(self.codes_NS.device)
        user_BD = self.model(self.codes_NS[items_BT], items_BT, batch.length_B.to(items_BT.device))
        scores_BN: FloatArray = (user_BD @ self.item_vectors_ND.T).float().cpu().numpy()
        return scores_BN


def rank(
    ranker: Ranker,
    held_out: EvaluationSet,
    catalogue_size: int,
    filter_seen: bool,
    top: int,
    hidden_N: NDArray[np.bool_] | None = None,
) -> Ranking:
    """Rank the catalogue, but for what is hidden, for every user, in batches of like length."""
    ranks = np.zeros(len(held_out.target), np.int64)
    best = np.zeros((len(held_out.target), min(top, catalogue_size)), np.int64)
    for users, scores_BN in scores(ranker, held_out, catalogue_size, filter_seen, hidden_N):
        ranks[users] = ranks_of(held_out.target[users], scores_BN)
        if best.shape[1]:
            best[users] = torch.from_numpy(scores_BN).topk(best.shape[1]).indices.numpy()
    return Ranking(ranks, best)


def ranks_of(target_B: NDArray[np.int32], scores_BN: FloatArray) -> NDArray[np.int64]:
    """(B,): of the targets, 1 is best; ties count against it."""
    target_score_B = scores_BN[np.arange(len(target_B)), target_B]
    ranks_B: NDArray[np.int64] = (scores_BN >= target_score_B[:, None]).sum(axis=1)
    return np.maximum(ranks_B, 1)


def scores(
    ranker: Ranker,
    held_out: EvaluationSet,
    catalogue_size: int,
    filter_seen: bool,
    hidden_N: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[NDArray[np.int64], FloatArray]]:
    """Rows of ``held_out`` and their scores (B, N), -inf where nothing is to be recommended."""
    for users in _batches(held_out, catalogue_size):
        windows = Windows(held_out.start[users], held_out.length[users])
        scores_BN = ranker.score(held_out.items, windows)
        rows_B, target_B = np.arange(len(users)), held_out.target[users]
        target_score_B = scores_BN[rows_B, target_B].copy()
        if hidden_N is not None:
            scores_BN[:, hidden_N] = -np.inf
        if filter_seen:
            seen = unroll(held_out.items, windows)
            scores_BN[seen.row, seen.item] = -np.inf
        scores_BN[rows_B, target_B] = target_score_B
        yield users, scores_BN


def metrics(ranking: Ranking, catalogue_size: int, cutoffs: tuple[int, ...]) -> dict[str, float]:
    """recall@k, ndcg@k and coverage@k: means over users, and the share of items ever shown.

    A ranking without the best items gives no coverage.
    """
    values = {}
    for k in cutoffs:
        values[f"recall@{k}"] = float((ranking.rank_E <= k).mean())
        values[f"ndcg@{k}"] = ndcg_of(ranking.rank_E, k)
        if ranking.top_EK.size:
            values[f"coverage@{k}"] = len(np.unique(ranking.top_EK[:, :k])) / catalogue_size
    return values


def ndcg(
    ranker: Ranker,
    held_out: EvaluationSet,
    catalogue_size: int,
    filter_seen: bool,
    hidden_N: NDArray[np.bool_] | None = None,
) -> float:
    """NDCG@10: what settings, decays and shares are chosen by."""
    return ndcg_of(rank(ranker, held_out, catalogue_size, filter_seen, 0, hidden_N).rank_E)


def ndcg_of(rank_E: NDArray[np.int64], cutoff: int = 10) -> float:
    """The mean gain of ranks up to ``cutoff``."""
    return float(((rank_E <= cutoff) / np.log2(rank_E + 1)).mean())


def _batches(held_out: EvaluationSet, catalogue_size: int) -> Iterator[NDArray[np.int64]]:
    """Users of like history length, so that little is padded, and few enough to hold scores."""
    order = np.argsort(held_out.length, kind="stable")
    most = max(1, _SCORED_AT_ONCE // catalogue_size)
    for piece in cut(np.minimum(held_out.length[order], 1000), 32_768):
        users = order[piece]
        for first in range(0, len(users), most):
            yield users[first : first + most]
