"""Catalogues of any size that look like a learned one, and users who look for something in them."""

from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from models.contract import bundle
from models.contract.types import FloatArray, ItemCodes
from service.engine.scorer import make_scorer

DEMO = Path("artifacts/demo/current")
_HISTORY, _NEIGHBOURS, _USERS = 8, 50, 2000
_AT_ONCE = 100_000


class Seed(NamedTuple):
    """Vectors that were learned: what a drawn catalogue is like."""

    items_ND: FloatArray
    users_UD: FloatArray


def learned(directory: Path = DEMO) -> Seed:
    """Item and user vectors of a bundle; its users liked items that are near each other.

    Raises BundleError where there is none: ``make demo`` makes one.
    """
    found = bundle.read(directory)
    items_ND, codes_NS = found.item_vectors_ND, found.semantic_ids.codes_NS
    random = np.random.default_rng(0)
    centres_U = random.integers(0, len(items_ND), _USERS)
    near_UJ = np.argsort(-(items_ND[centres_U] @ items_ND.T), axis=1)[:, :_NEIGHBOURS]
    liked_UT = random.permuted(near_UJ, axis=1)[:, :_HISTORY]
    histories = [[ItemCodes(int(n), codes_NS[n]) for n in liked_T] for liked_T in liked_UT]
    return Seed(items_ND, make_scorer(found, "cpu", 1).encode(histories))


def drawn(seed: Seed, items: int, spread: float = 1.0) -> FloatArray:
    """(items, D): each a learned vector, moved by as much as neighbours lie apart.

    The move is normal, with ``spread`` times the covariance of learned vectors around the centres
    of their k-means cells. ``spread`` 1 resembles what was learned, more is harder to compress.
    """
    random = np.random.default_rng(items)
    root_DD = _spread_within_cells(seed.items_ND) * np.float32(spread**0.5)
    vectors_ND = np.empty((items, seed.items_ND.shape[1]), np.float32)
    for first in range(0, items, _AT_ONCE):
        part_ND = vectors_ND[first : first + _AT_ONCE]
        noise_ND = random.standard_normal(part_ND.shape, np.float32)
        start_N = random.integers(0, len(seed.items_ND), len(part_ND))
        np.add(seed.items_ND[start_N], noise_ND @ root_DD.T, out=part_ND)
    return vectors_ND


def _spread_within_cells(items_ND: FloatArray) -> FloatArray:
    """A root of the covariance of vectors around the centres of about the root of N cells."""
    cells = faiss.Kmeans(
        items_ND.shape[1], int(len(items_ND) ** 0.5), niter=10, seed=1, min_points_per_centroid=1
    )
    cells.train(items_ND)
    assert cells.centroids is not None
    rest_ND = items_ND - cells.centroids[cells.index.search(items_ND, 1)[1][:, 0]]
    ridge_DD = 1e-9 * np.eye(items_ND.shape[1])
    root_DD: FloatArray = np.linalg.cholesky(np.cov(rest_ND.T) + ridge_DD).astype(np.float32)
    return root_DD


def recall(found_BK: NDArray[np.int64], truth_BK: NDArray[np.int64]) -> float:
    """Share of the best that was found, a mean over queries."""
    pairs = zip(found_BK, truth_BK, strict=True)
    return float(np.mean([len(np.intersect1d(*pair)) / truth_BK.shape[1] for pair in pairs]))


def best(vectors_ND: FloatArray, queries_BD: FloatArray, k: int) -> NDArray[np.int64]:
    """(B, K): the exact answer, by matrix products of a part of the catalogue at a time."""
    scores_BK = np.zeros((len(queries_BD), 0), np.float32)
    items_BK = np.zeros((len(queries_BD), 0), np.int64)
    for first in range(0, len(vectors_ND), _AT_ONCE):
        part_BN = queries_BD @ vectors_ND[first : first + _AT_ONCE].T
        scores_BJ = np.concatenate([scores_BK, part_BN], axis=1)
        new_BN = np.broadcast_to(first + np.arange(part_BN.shape[1]), part_BN.shape)
        items_BJ = np.concatenate([items_BK, new_BN], axis=1)
        kept_BK = np.argpartition(-scores_BJ, min(k, scores_BJ.shape[1]) - 1, axis=1)[:, :k]
        scores_BK = np.take_along_axis(scores_BJ, kept_BK, axis=1)
        items_BK = np.take_along_axis(items_BJ, kept_BK, axis=1)
    return items_BK
