"""The best items by inner product, exactly, in stages that a GPU is quick at. Plain torch.

Scores in bfloat16 say which blocks of items hold the best, then which items, more of them than are
wanted; those are scored again in float32. ``topk`` over all items costs far more than the product
as soon as there are several queries: the best K of all lie in the K blocks whose best are best.
What was left out is shown not to belong there by a bound on rounding; where it is not, the query is
scored in float32 throughout. B queries, N items and what fills their last block, D wide.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 1024  # items
_MORE, _LEAST = 2, 64  # so many times, and so many more, are scored again
# Half a unit in the last of bfloat16's eight bits, of either factor.
_ROUNDING = 2.0**-8
# The sum of D roundings that fall either way: further off than so many times the root of their
# squares' sum is one in 10^13 (Hoeffding 1963, theorem 2).
_FAR = 8.0


class Items(NamedTuple):
    """On the device: vectors to scan (N, D) in bfloat16, to decide in float32, of whole blocks.

    largest_D: the largest size of each column. there: how many are items; the rest fill.
    """

    scan_ND: Tensor
    exact_ND: Tensor
    largest_D: Tensor
    there: int

    @classmethod
    def of(cls, exact_ND: Tensor) -> "Items":
        """Of vectors on the device, in float32."""
        there = len(exact_ND)
        filled = torch.nn.functional.pad(exact_ND, (0, 0, 0, -there % BLOCK))
        return cls(filled.bfloat16(), filled, filled.abs().amax(0), there)


class Best(NamedTuple):
    """Best first: scores (B, K), -inf where there are fewer, and items (B, K)."""

    scores_BK: Tensor
    items_BK: Tensor
    shown_B: Tensor  # whether nothing that was left out can belong there


def best(items: Items, vectors_BD: Tensor, added: Tensor, hidden: Tensor, k: int) -> Best:
    """The ``k`` best of each query, of which there are as many at most as items.

    added: (N,) or (B, N), 0, or -inf for what must not be found; N as in ``items``.
    hidden: (H, 2), a query and an item that it must not find.
    """
    scores_BN = vectors_BD.bfloat16() @ items.scan_ND.T
    scores_BN += added.to(scores_BN.dtype)
    scores_BN[hidden[:, 0], hidden[:, 1]] = -torch.inf
    most = min(max(_MORE * k, k + _LEAST), items.there)
    picked_BM, items_BM = _of_blocks(scores_BN, most)
    exact_BM = torch.bmm(items.exact_ND[items_BM], vectors_BD[:, :, None])[:, :, 0]
    exact_BM = exact_BM.masked_fill(picked_BM == -torch.inf, -torch.inf)
    scores_BK, place_BK = exact_BM.topk(k)
    least_B = picked_BM[:, -1].float()
    shown_B = scores_BK[:, -1] >= least_B + _off(items, vectors_BD, least_B)
    complete_B = (least_B == -torch.inf) | (most == items.there)
    return Best(scores_BK, items_BM.gather(1, place_BK), shown_B | complete_B)


def best_in_full(items: Items, vectors_BD: Tensor, added: Tensor, hidden: Tensor, k: int) -> Best:
    """The same, of scores in float32."""
    scores_BN = vectors_BD @ items.exact_ND.T + added
    scores_BN[hidden[:, 0], hidden[:, 1]] = -torch.inf
    scores_BK, items_BK = _of_blocks(scores_BN, k)
    return Best(scores_BK, items_BK, torch.ones_like(items_BK[:, 0], dtype=torch.bool))


def _of_blocks(scores_BN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The best ``k`` and their items, by the best blocks."""
    blocks_BNS = scores_BN.view(len(scores_BN), -1, BLOCK)
    few = min(k, blocks_BNS.shape[1])
    block_BF = blocks_BNS.amax(2).topk(few).indices
    picked_BFS = blocks_BNS.gather(1, block_BF[:, :, None].expand(-1, -1, BLOCK))
    best_BK, place_BK = picked_BFS.flatten(1).topk(k)
    block_BK = block_BF.gather(1, place_BK // BLOCK)
    return best_BK, block_BK * BLOCK + place_BK % BLOCK


def _off(items: Items, vectors_BD: Tensor, least_B: Tensor) -> Tensor:
    """(B,): how far a score in bfloat16 may be below the true one, at ``least`` and below."""
    each_BD = 2 * _ROUNDING * vectors_BD.abs() * items.largest_D
    far_B: Tensor = _FAR * torch.linalg.vector_norm(each_BD, dim=1)
    return far_B + 2 * _ROUNDING * least_B.abs()
