"""Retriever: user vectors -> the best items by inner product."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray


class Found(NamedTuple):
    """The best items of each query, best first: scores (B, K) and item indices (B, K)."""

    scores_BK: FloatArray
    items_BK: NDArray[np.int64]


class Retriever(Protocol):
    """Searches the catalogue."""

    kind: str

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        """The best ``k`` items of each query, or all where the catalogue has fewer."""
