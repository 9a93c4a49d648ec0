"""Retrievers: user vectors -> the best items by inner product, of those that each query may find.

A ``Retriever`` is asked by the engine. What it asks in turn, once rows live beside the bundle's and
some of those are gone, is a ``BaseRetriever``.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from models.contract.types import FloatArray
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import Selection

_LOWEST = np.finfo(np.float32).min  # no score is, nor is -inf


class Found(NamedTuple):
    """The best items of each query, best first: scores (B, K) and item indices (B, K).

    K is the most that a query asked for. Who asked for fewer, or for whom fewer exist, has scores
    of -inf and items of -1 at the end.
    """

    scores_BK: FloatArray
    items_BK: Rows

    def put(self, queries: Sequence[int], found: "Found") -> None:
        """Write what was found for these queries, as much of it as there is room for."""
        width = min(self.items_BK.shape[1], found.items_BK.shape[1])
        self.scores_BK[queries, :width] = found.scores_BK[:, :width]
        self.items_BK[queries, :width] = found.items_BK[:, :width]


class Retriever(Protocol):
    """Searches the catalogue and what lives beside it."""

    kind: str

    def search(
        self, vectors_BD: FloatArray, k: Sequence[int], selections: Sequence[Selection]
    ) -> Found:
        """The best ``k[b]`` items of query b in ``selections[b]``, fewer only where fewer exist.

        What one query asks for makes no other's search larger.
        """


class BaseRetriever(Protocol):
    """Searches the bundle's items.

    few: of so many allowed rows and fewer, each had better be scored by itself (picked.py).
    """

    kind: str
    few: int

    def search(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None = None,
    ) -> Found:
        """As a Retriever does; no live rows are in the selections, and none of ``gone`` is found.

        It costs a query next to nothing that some are gone.
        """


def nothing_found(queries: int, k: int) -> Found:
    """No items, of so many queries."""
    shape = queries, k
    return Found(np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64))


def tidied(found: Found, k: Sequence[int]) -> Found:
    """Without what is beyond each one's ``k``, and without what has no score.

    Where fewer are left than are looked for, ONNX Runtime's TopK on a GPU puts the lowest number
    that there is before -inf, of rows that there are not (microsoft/onnxruntime#9843, #22738).
    """
    none_BK = (found.items_BK < 0) | (found.scores_BK <= _LOWEST)
    if min(k) < found.items_BK.shape[1]:
        none_BK |= np.arange(found.items_BK.shape[1]) >= np.array(k)[:, None]
    items_BK = np.where(none_BK, -1, found.items_BK)
    return Found(np.where(none_BK, np.float32(-np.inf), found.scores_BK), items_BK)
