"""After training, items that were seen rarely, or never, borrow from those they resemble.

An item is known by its use. Training pulls the residual of a rare item little away from nothing,
and of a new one not at all, so that both are ranked below items that suit worse; content says whom
they resemble. A choice of ours, in the place of z_ID being null (docs/method.md, 3).
"""

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from models.semantic_id import SemanticIdTable
from models.sequence import SequenceModel
from models.types import FloatArray
from training.data.histories import Histories

NEIGHBOURS = 3
_EXACT = 100_000  # items, beyond which neighbours are looked for in the nearest cells only
_CELLS_LOOKED_AT = 16


def borrow(
    model: SequenceModel,
    table: SemanticIdTable,
    content_ND: FloatArray,
    histories: Histories,
    share: float,
) -> None:
    """Add to every item's residual share / (1 + n) of what its neighbours in content are.

    n: how often training saw the item. content_ND: zero for items without content, which neither
    borrow nor lend; items that training never saw do not lend.
    """
    count_N = np.bincount(histories.items, minlength=len(table))
    has_content_N = content_ND.any(1)
    lenders = np.flatnonzero(has_content_N & (count_N > 0))
    if len(lenders) <= NEIGHBOURS:
        return
    near_NK = torch.from_numpy(neighbours(content_ND, lenders))
    share_N = np.where(has_content_N, share / (1 + count_N), 0).astype(np.float32)
    codes_NS = torch.from_numpy(table.codes_NS.astype(np.int64))
    device = model.seen.device
    model.borrow(codes_NS.to(device), near_NK.to(device), torch.from_numpy(share_N).to(device))


def neighbours(vectors_ND: FloatArray, lenders: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, NEIGHBOURS) lenders with the largest inner product, never an item itself.

    Exact up to 100,000 lenders. There must be more than NEIGHBOURS of them.
    """
    exact = len(lenders) <= _EXACT
    kind = "Flat" if exact else f"IVF{4 * int(len(lenders) ** 0.5)},SQ8"
    index = faiss.index_factory(vectors_ND.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    if not exact:
        faiss.ParameterSpace().set_index_parameter(index, "nprobe", _CELLS_LOOKED_AT)
    index.train(vectors_ND[lenders])
    index.add(vectors_ND[lenders])
    _, place = index.search(vectors_ND, NEIGHBOURS + 1)
    found = lenders[place]
    unfit = (place < 0) | (found == np.arange(len(found))[:, None])  # -1: too few in those cells
    fit_first = np.argsort(unfit, axis=1, kind="stable")[:, :NEIGHBOURS]
    nearest: NDArray[np.int64] = np.take_along_axis(found, fit_first, axis=1)
    return nearest
