"""Stage evaluate: rank the full catalogue for every held-out item."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.types import CodeArray, FloatArray
from models.nets.rows import code_tensor
from models.nets.sequence import SequenceModel
from training.data.batches import cut, gather_latest
from training.data.histories import EvaluationSet, Windows, unroll
from training.data.new_items import Mixed

_SCORED_AT_ONCE = 3_000_000  # scores held at a time (users x catalogue), few enough for the cache
_ON_A_GPU = 2**28  # and there: few launches, and 1 GiB


class Ranker(Protocol):
    """Anything that scores the catalogue from a history."""

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N) of all items, given each window of ``items`` as a history."""


class Task(NamedTuple):
    """What is to be predicted, among ``size`` items.

    filter_seen: items of a history are not ranked. hidden_N: (N,), items that are not ranked
    either; None: no others. A target is always ranked.
    """

    held_out: EvaluationSet
    size: int
    filter_seen: bool
    hidden_N: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, mixed: Mixed, filter_seen: bool) -> Self:
        """What users take next of what is in the catalogue."""
        return cls(mixed.held_out, len(mixed.new_N), filter_seen, mixed.hidden_N)


class Ranking(NamedTuple):
    """What every metric is made from."""

    rank_E: NDArray[np.int64]  # of the held-out item, as ``ranks_of`` tells
    top_EK: NDArray[np.int64]  # the best items, for coverage; K may be 0; -1: no more are left


class SequenceRanker:
    """The sequence model as a Ranker: the latest ``max_history`` items, last position only."""

    @torch.no_grad()
    def __init__(self, model: SequenceModel, codes_NS: CodeArray) -> None:
        self.model = model.eval()
        self.device = model.seen.device
        self.codes_NS = code_tensor(codes_NS, self.device)
        everything_N = torch.arange(len(codes_NS), device=self.device)
        self.item_vectors_ND = model.represent(self.codes_NS, everything_N)

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        scores_BN: FloatArray = self.score_there(items, windows).cpu().numpy()
        return scores_BN

    @torch.no_grad()
    def score_there(self, items: NDArray[np.int32], windows: Windows) -> Tensor:
        """The same, left on the model's device."""
        batch = gather_latest(items, windows, self.model.config.max_history)
        items_BT, length_B = batch.items_BT.to(self.device), batch.length_B.to(self.device)
        user_BD = self.model(self.codes_NS[items_BT], items_BT, length_B)
        scores_BN: Tensor = user_BD @ self.item_vectors_ND.T
        return scores_BN


def rank(ranker: Ranker, task: Task, top: int = 0) -> Ranking:
    """Rank the catalogue for every user, in batches of like length."""
    target_E = task.held_out.target
    ranks = np.zeros(len(target_E), np.int64)
    best = np.zeros((len(target_E), min(top, task.size)), np.int64)
    on_a_gpu = isinstance(ranker, SequenceRanker) and ranker.device.type != "cpu"
    most = max(1, (_ON_A_GPU if on_a_gpu else _SCORED_AT_ONCE) // task.size)
    for users, scores_BN in _scored(ranker, task, most):
        ranks[users] = ranks_there(target_E[users], scores_BN).cpu().numpy()
        if best.shape[1]:
            best[users] = _best(scores_BN, best.shape[1]).cpu().numpy()
    return Ranking(ranks, best)


def _best(scores_BN: Tensor, most: int) -> Tensor:
    """(B, most): the best items, -1 where no more are left."""
    top = scores_BN.topk(most)
    return torch.where(top.values.isfinite(), top.indices, -1)


def ranks_of(target_B: NDArray[np.int32], scores_BN: FloatArray) -> NDArray[np.int64]:
    """(B,): the targets' ranks, 1 is best; equal scores and NaN count against a target."""
    ranks_B: NDArray[np.int64] = ranks_there(target_B, torch.from_numpy(scores_BN)).numpy()
    return ranks_B


def ranks_there(target_B: NDArray[np.int32], scores_BN: Tensor) -> Tensor:
    """The same, on the device of the scores."""
    target_B1 = torch.from_numpy(target_B).long().to(scores_BN.device)[:, None]
    return scores_BN.shape[1] - (scores_BN < scores_BN.gather(1, target_B1)).sum(1)


def scores(ranker: Ranker, task: Task) -> Iterator[tuple[NDArray[np.int64], FloatArray]]:
    """Rows of ``held_out`` and their scores (B, N), -inf where nothing is to be recommended."""
    for users, scores_BN in _scored(ranker, task, max(1, _SCORED_AT_ONCE // task.size)):
        yield users, scores_BN.cpu().numpy()


def _scored(ranker: Ranker, task: Task, most: int) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """The same, for at most so many users at a time, on the ranker's device."""
    held_out = task.held_out
    for users in _batches(held_out, most):
        windows = Windows(held_out.start[users], held_out.length[users])
        if isinstance(ranker, SequenceRanker):
            scores_BN = ranker.score_there(held_out.items, windows)
        else:
            scores_BN = torch.from_numpy(ranker.score(held_out.items, windows))
        _hide(scores_BN, task, users, windows)
        yield users, scores_BN


def _hide(scores_BN: Tensor, task: Task, users: NDArray[np.int64], windows: Windows) -> None:
    """Give -inf, in place, to what was seen or is hidden, but for the targets."""
    held_out, device = task.held_out, scores_BN.device
    target_B1 = torch.from_numpy(held_out.target[users]).long().to(device)[:, None]
    target_score_B1 = scores_BN.gather(1, target_B1)
    if task.hidden_N is not None:
        scores_BN.masked_fill_(torch.from_numpy(task.hidden_N).to(device), -torch.inf)
    if task.filter_seen:
        steps = unroll(held_out.items, windows)
        row_J, item_J = (torch.from_numpy(each).to(device) for each in (steps.row, steps.item))
        scores_BN[row_J, item_J] = -torch.inf
    scores_BN.scatter_(1, target_B1, target_score_B1)


def metrics(ranking: Ranking, catalogue_size: int, cutoffs: tuple[int, ...]) -> dict[str, float]:
    """recall@k, ndcg@k and coverage@k: means over users, and the share of items ever shown.

    A ranking without the best items gives no coverage.
    """
    values = {}
    for k in cutoffs:
        values[f"recall@{k}"] = float((ranking.rank_E <= k).mean())
        values[f"ndcg@{k}"] = ndcg_of(ranking.rank_E, k)
        if ranking.top_EK.size:
            shown = np.unique(ranking.top_EK[:, :k])
            values[f"coverage@{k}"] = int((shown >= 0).sum()) / catalogue_size
    return values


def ndcg(ranker: Ranker, task: Task) -> float:
    """NDCG@10: what settings, decays and shares are chosen by."""
    return ndcg_of(rank(ranker, task).rank_E)


def ndcg_of(rank_E: NDArray[np.int64], cutoff: int = 10) -> float:
    """The mean gain of ranks up to ``cutoff``."""
    return float(gains_of(rank_E, cutoff).mean())


def gains_of(rank_E: NDArray[np.int64], cutoff: int = 10) -> NDArray[np.float64]:
    """(E,): what each rank is worth to NDCG; 0 behind ``cutoff``."""
    gain_E: NDArray[np.float64] = (rank_E <= cutoff) / np.log2(rank_E + 1)
    return gain_E


def _batches(held_out: EvaluationSet, most: int) -> Iterator[NDArray[np.int64]]:
    """Users of like history length, so that little is padded, and few enough to hold scores."""
    order = np.argsort(held_out.length, kind="stable")
    for piece in cut(np.minimum(held_out.length[order], 1000), 32_768):
        users = order[piece]
        for first in range(0, len(users), most):
            yield users[first : first + most]
