"""After training, items that were seen rarely, or never, borrow from those they resemble.

Training moves the residual of a rare item little from zero, and that of a new one not at all, so
that both rank below items that fit worse. Content says which items they resemble, and those lend
them a part of their vectors. A choice of ours, instead of a null z_ID (docs/method.md, 3).
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.semantic_id import SemanticIdTable
from models.contract.types import FloatArray
from models.nets.rows import code_tensor
from models.nets.sequence import SequenceModel
from training.data.histories import Histories
from training.evaluate.ranking import SequenceRanker, Task, ndcg

NEIGHBOURS = 3
_EXACT = 100_000  # items, beyond which neighbours are looked for in the nearest cells only
_CELLS_LOOKED_AT = 16


class Loans(NamedTuple):
    """Whom every item borrows from, and how badly it needs to."""

    near_NK: NDArray[np.int64]
    need_N: FloatArray  # 1 / (1 + how often training saw it): 1 if never; 0 without content


def loans(content_ND: FloatArray, histories: Histories) -> Loans | None:
    """Items with content borrow from those of them that training saw; None where too few did.

    content_ND: zero for an item without content, which neither borrows nor lends.
    """
    lenders = lenders_of(content_ND, histories)
    if len(lenders) <= NEIGHBOURS:
        return None
    count_N = histories.uses(len(content_ND))
    need_N = np.where(content_ND.any(1), 1 / (1 + count_N), 0).astype(np.float32)
    return Loans(neighbours(content_ND, lenders), need_N)


def borrow(
    model: SequenceModel, table: SemanticIdTable, loans: Loans, share: float
) -> SequenceModel:
    """A copy whose items' residuals gain share x need of the mean vector of their neighbours.

    Items that training never saw borrow last, from the vectors that the others have by then. One
    whose own vector is zero takes the whole mean, as an item does that is put into a service.
    """
    borrowed, device = deepcopy(model), model.seen.device
    codes_NS = code_tensor(table.codes_NS, device)
    near_NK = torch.from_numpy(loans.near_NK).to(device)
    share_N = torch.from_numpy(share * loans.need_N).to(device)
    new_N = torch.from_numpy(loans.need_N == 1).to(device)
    bare_J = new_N.nonzero()[:, 0]
    bare_J = bare_J[~has_vector(model, codes_NS, bare_J)]
    share_N[bare_J] = torch.from_numpy(loans.need_N).to(device)[bare_J]
    for which_N in (~new_N, new_N):
        borrowed.borrow(codes_NS, near_NK, share_N * which_N)
    return borrowed


@torch.no_grad()
def has_vector(model: SequenceModel, codes_NS: Tensor, rows_J: Tensor) -> Tensor:
    """(J,): whether the vector of each item is other than zero."""
    told_J: Tensor = model.represent(codes_NS[rows_J], rows_J).any(dim=1)
    return told_J


def try_shares(
    model: SequenceModel,
    table: SemanticIdTable,
    loans: Loans,
    shares: Sequence[float],
    task: Task,
) -> dict[float, float]:
    """NDCG@10 with every share borrowed."""
    tried = {}
    for share in shares:
        ranker = SequenceRanker(borrow(model, table, loans, share), table.codes_NS)
        tried[share] = ndcg(ranker, task)
    return tried


def lenders_of(content_ND: FloatArray, histories: Histories) -> NDArray[np.int64]:
    """Items that others may borrow from: those with content that training saw."""
    count_N = histories.uses(len(content_ND))
    return np.flatnonzero(content_ND.any(1) & (count_N > 0))


def lenders_index(vectors_ND: FloatArray, lenders: NDArray[np.int64]) -> faiss.Index:
    """Lenders by content, to look for the nearest in. Exact up to 100,000 of them."""
    exact = len(lenders) <= _EXACT
    kind = "Flat" if exact else f"IVF{4 * int(len(lenders) ** 0.5)},SQ8"
    index = faiss.index_factory(vectors_ND.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    if not exact:
        faiss.ParameterSpace().set_index_parameter(index, "nprobe", _CELLS_LOOKED_AT)
    index.train(vectors_ND[lenders])
    index.add(vectors_ND[lenders])
    return index


def neighbours(vectors_ND: FloatArray, lenders: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, NEIGHBOURS) lenders with the largest inner product, never an item itself.

    There must be more than NEIGHBOURS of them.
    """
    index = lenders_index(vectors_ND, lenders)
    _, place = index.search(vectors_ND, NEIGHBOURS + 1)
    found = lenders[place]
    unfit = (place < 0) | (found == np.arange(len(found))[:, None])  # -1: too few in those cells
    fit_first = np.argsort(unfit, axis=1, kind="stable")[:, :NEIGHBOURS]
    nearest: NDArray[np.int64] = np.take_along_axis(found, fit_first, axis=1)
    return nearest
