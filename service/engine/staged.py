"""The best items by inner product, exactly, in stages that a GPU is quick at. Plain torch.

Scores in bfloat16 say which blocks of items hold the best, then which items, more of them than are
wanted; those are scored again in float32. ``topk`` over all items costs far more than the product
as soon as there are several queries: the best K of all lie in the K blocks whose best are best.
What was left out is shown not to belong there by a bound on rounding; where it is not, the query is
scored in float32 throughout. What a history brings to mind is added to the scores of both. B
queries, R rows of whole blocks, D wide, J rows brought to mind.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 1024  # rows
_MORE, _LEAST = 2, 64  # so many times, and so many more, are scored again
# Half a unit in the last of bfloat16's eight bits, of either factor.
_ROUNDING = 2.0**-8
# The sum of D roundings that fall either way: further off than so many times the root of their
# squares' sum is one in 10^13 (Hoeffding 1963, theorem 2).
_FAR = 8.0


class Items(NamedTuple):
    """On the device: vectors (R, D) to scan in bfloat16, to decide in float32.

    largest_D: the largest size that there ever was in each column.
    """

    scan_RD: Tensor
    exact_RD: Tensor
    largest_D: Tensor

    @classmethod
    def room(cls, rows: int, width: int, device: torch.device) -> "Items":
        """For so many rows and what fills their last block, nothing in it."""
        exact_RD = torch.zeros(rows + -rows % BLOCK, width, device=device)
        return cls(exact_RD.bfloat16(), exact_RD, exact_RD[0].clone())

    def put(self, first: int, vectors_MD: Tensor) -> None:
        """Write rows from ``first`` on."""
        rows = slice(first, first + len(vectors_MD))
        self.exact_RD[rows] = vectors_MD
        self.scan_RD[rows] = vectors_MD.bfloat16()
        torch.maximum(self.largest_D, vectors_MD.abs().amax(0), out=self.largest_D)

    def take(self, others: "Items") -> None:
        """Write all of others, of which there are as many at most, from the first row on."""
        rows = len(others.scan_RD)
        self.scan_RD[:rows], self.exact_RD[:rows] = others.scan_RD, others.exact_RD
        torch.maximum(self.largest_D, others.largest_D, out=self.largest_D)


class Sums(NamedTuple):
    """What is added to the scores of some rows: rows (B, J), ascending, each told of once but for
    those that fill, to which 0 is added; and how much, (B, J).
    """

    rows_BJ: Tensor
    scores_BJ: Tensor

    def at(self, rows_BM: Tensor) -> Tensor:
        """(B, M): what is added to these."""
        last = self.rows_BJ.shape[1] - 1
        at_BM = torch.searchsorted(self.rows_BJ, rows_BM).clamp(max=last)
        told_BM = self.rows_BJ.gather(1, at_BM) == rows_BM
        return self.scores_BJ.gather(1, at_BM) * told_BM


class Best(NamedTuple):
    """Best first: scores (B, K), -inf where there are fewer, and rows (B, K)."""

    scores_BK: Tensor
    rows_BK: Tensor
    shown_B: Tensor  # whether nothing that was left out can belong there


class Among(NamedTuple):
    """What each query may find.

    added: (R,) or (B, R), 0, or -inf for what must not be found. hidden: (H, 2), a query and a row
    that it must not find. sums: what comes on top, of which there may be none.
    """

    added: Tensor
    hidden_H2: Tensor
    sums: Sums | None = None

    def of(self, scores_BR: Tensor) -> Tensor:
        """The scores, in place."""
        scores_BR += self.added
        if self.sums is not None:
            rows_BJ, scores_BJ = self.sums
            scores_BR.scatter_add_(1, rows_BJ, scores_BJ.to(scores_BR.dtype))
        places_H = self.hidden_H2[:, 0] * scores_BR.shape[1] + self.hidden_H2[:, 1]
        return scores_BR.view(-1).index_fill_(0, places_H, -torch.inf).view_as(scores_BR)


def best(items: Items, vectors_BD: Tensor, among: Among, k: int) -> Best:
    """The ``k`` best of each query, of which there are as many at most as rows."""
    scores_BR = among.of(vectors_BD.bfloat16() @ items.scan_RD.T)
    most = min(max(_MORE * k, k + _LEAST), len(items.scan_RD))
    picked_BM, rows_BM = _of_blocks(scores_BR, most)
    exact_BM = torch.bmm(items.exact_RD[rows_BM], vectors_BD[:, :, None])[:, :, 0]
    if among.sums is not None:
        exact_BM = exact_BM + among.sums.at(rows_BM)
    exact_BM = exact_BM.masked_fill(picked_BM == -torch.inf, -torch.inf)
    scores_BK, place_BK = exact_BM.topk(k)
    least_B = picked_BM[:, -1].float()
    shown_B = scores_BK[:, -1] >= least_B + _off(items, vectors_BD, least_B, among.sums)
    complete_B = (least_B == -torch.inf) | (most == len(items.scan_RD))
    return Best(scores_BK, rows_BM.gather(1, place_BK), shown_B | complete_B)


def best_in_full(items: Items, vectors_BD: Tensor, among: Among, k: int) -> Best:
    """The same, of scores in float32."""
    scores_BK, rows_BK = _of_blocks(among.of(vectors_BD @ items.exact_RD.T), k)
    return Best(scores_BK, rows_BK, torch.ones_like(rows_BK[:, 0], dtype=torch.bool))


def _of_blocks(scores_BR: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The best ``k`` and their rows, by the best blocks."""
    blocks_BNS = scores_BR.view(len(scores_BR), -1, BLOCK)
    few = min(k, blocks_BNS.shape[1])
    block_BF = blocks_BNS.amax(2).topk(few).indices
    picked_BFS = blocks_BNS.gather(1, block_BF[:, :, None].expand(-1, -1, BLOCK))
    best_BK, place_BK = picked_BFS.flatten(1).topk(k)
    block_BK = block_BF.gather(1, place_BK // BLOCK)
    return best_BK, block_BK * BLOCK + place_BK % BLOCK


def _off(items: Items, vectors_BD: Tensor, least_B: Tensor, sums: Sums | None) -> Tensor:
    """(B,): how far a score in bfloat16 may be below the true one, at ``least`` and below."""
    each_BD = 2 * _ROUNDING * vectors_BD.abs() * items.largest_D
    far_B: Tensor = _FAR * torch.linalg.vector_norm(each_BD, dim=1)
    if sums is not None:  # a product that is far below may have been lifted to ``least``
        far_B = far_B + 2 * _ROUNDING * sums.scores_BJ.amax(1)
    return far_B + 2 * _ROUNDING * least_B.abs()
