"""Compressed retrieval: 16 bytes an item are scanned, in the lists that lie nearest.

Lists are k-means cells. Within one, what is left of each vector is turned so that its 32 parts vary
alike, and each part is kept as a four-bit code, which FAISS looks up in registers (fast scan). The
best by these codes are scored exactly. The semantic ID's own first code makes a worse cell and its
codes explain half of a vector, for words and z_ID are in no code (docs/benchmarks/serving-log.md).
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import faiss
import numpy as np

from models.contract.types import FloatArray
from service.retrieval.hidden import MANY, alike, all_but, without
from service.retrieval.retriever import Found, Rows

_SEED = 0
_PARTS = (32, 16, 8, 4, 2, 1)  # codes an item: the most that divide its vector's width
_A_LIST = 40  # vectors that one list's centre is learned from
_FOR_ONE_HIDDEN = 2  # more items that are scored exactly
_FOR_A_HIDDEN_LIST = 16  # more lists that are searched, for as many hidden items as one holds
_AT_ONCE = 100_000  # vectors that are compressed together: more would copy the catalogue


class CompressedRetriever:
    """Scans codes of an item in some of the lists, then scores the best exactly.

    reranked: items that are scored exactly; None: one of 500, and 4,000 at least.
    lists: how many are searched; None: 8 times the square root of their number.
    """

    kind = "compressed"

    def __init__(
        self,
        item_vectors_ND: FloatArray,
        threads: int,
        reranked: int | None = None,
        lists: int | None = None,
    ) -> None:
        self.vectors_ND = np.ascontiguousarray(item_vectors_ND)
        self.threads = threads
        items, width = item_vectors_ND.shape
        self.reranked = reranked or max(4000, items // 500)
        count, parts = 1 << round(np.log2(items**0.5)), next(m for m in _PARTS if width % m == 0)
        sample_JD = _sample(self.vectors_ND, max(_A_LIST * count, 4096))
        self.rotation_DD = balanced_rotation(sample_JD, parts)
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        self.index = _learn(sample_JD @ self.rotation_DD, count, parts)
        for part_ND in _in_parts(self.vectors_ND):
            self.index.add(part_ND @ self.rotation_DD)
        self.lists = lists or round(8 * count**0.5)

    def search(self, vectors_BD: FloatArray, k: Sequence[int], hidden: Sequence[Rows]) -> Found:
        """The best ``k[b]`` items of query b, none of ``hidden[b]``, however many lists"""
        faiss.omp_set_num_threads(self.threads)  # OpenMP keeps it by thread: set where it searches
        return alike(vectors_BD, k, hidden, len(self.vectors_ND), self._search)

    def _search(self, vectors_BD: FloatArray, k: int, hidden: Sequence[Rows]) -> Found:
        more = max(map(len, hidden))
        if more >= MANY:
            near_BR = self._near(vectors_BD, k, more, all_but(hidden[0]))
            return self._rerank(vectors_BD, near_BR, k)
        wanted = min(k + more, len(self.vectors_ND))
        near_BR = self._near(vectors_BD, wanted, more, None)
        return without(self._rerank(vectors_BD, near_BR, wanted), hidden)

    def _near(self, vectors_BD: FloatArray, wanted: int, hidden: int, shown: Any) -> Rows:
        """The items that look best, ``wanted`` at least where so many are shown, then -1.

        What is hidden may be just what lies nearest: what is best then is less near, among more
        that is as good.
        """
        items, lists = len(self.vectors_ND), self.index.nlist
        turned_BD = np.ascontiguousarray(vectors_BD @ self.rotation_DD)
        most = min(items, max(self.reranked + _FOR_ONE_HIDDEN * hidden, 10 * wanted))
        searched = self.lists + _FOR_A_HIDDEN_LIST * hidden * lists // items
        while True:
            told = faiss.SearchParametersIVF(nprobe=min(searched, lists), sel=shown)  # type: ignore[call-arg]
            near_BR: Rows = self.index.search(turned_BD, most, params=told)[1]
            enough = (near_BR[:, wanted - 1] >= 0).all()  # the missing ones are last
            if enough or (searched >= lists and most == items):
                return near_BR
            searched, most = searched * 2, items if searched >= lists else most

    def _rerank(self, vectors_BD: FloatArray, rows_BR: Rows, k: int) -> Found:
        """By exact scores; in place, for gathered rows and BLAS threads would cost ten times it."""
        (queries, width), near = vectors_BD.shape, rows_BR.shape[1]
        found = Found(np.empty((queries, k), np.float32), np.empty((queries, k), np.int64))
        at = faiss.swig_ptr
        faiss.knn_inner_products_by_idx(  # type: ignore[attr-defined]
            at(vectors_BD), at(self.vectors_ND), at(rows_BR),
            width, queries, len(self.vectors_ND), near, k,
            at(found.scores_BK), at(found.items_BK), near,
        )  # fmt: skip
        return found


def _sample(vectors_ND: FloatArray, size: int) -> FloatArray:
    """At most ``size`` of them, in their order, the same for every run."""
    rows = np.random.default_rng(_SEED).permutation(len(vectors_ND))[:size]
    return vectors_ND[np.sort(rows)]


def _in_parts(vectors_ND: FloatArray) -> Iterator[FloatArray]:
    """A part at a time: all at once would copy the catalogue."""
    return (vectors_ND[n : n + _AT_ONCE] for n in range(0, len(vectors_ND), _AT_ONCE))


def _learn(sample_JD: FloatArray, count: int, parts: int) -> Any:
    """An index of ``count`` lists, empty, its centres and codes learned from a sample.

    Centres are k-means', though lists are filled and searched by inner product: FAISS's own
    training would look for centres by inner product too, and leave more for the codes to tell.
    """
    width = sample_JD.shape[1]
    cells = faiss.Kmeans(width, count, niter=10, seed=1, min_points_per_centroid=1)
    cells.train(sample_JD)
    assert cells.centroids is not None
    centres = faiss.IndexFlatIP(width)
    centres.add(cells.centroids)
    metric = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFPQFastScan(centres, width, count, parts, 4, metric)
    index.by_residual = True
    index.train(sample_JD)
    return index


def balanced_rotation(vectors_JD: FloatArray, parts: int) -> FloatArray:
    """(D, D), orthogonal: principal axes dealt out so that every part has as much to tell.

    Each part gets equally many axes, and the product of its variances is about that of the others:
    what optimised product quantization comes to for a normal distribution (Ge et al., CVPR 2013,
    section 3.2), without its iterations.
    """
    variance_D, axes_DD = np.linalg.eigh(np.cov(vectors_JD.T))
    told_D = np.log(np.maximum(variance_D, 1e-9 * variance_D[-1]))
    told_D -= told_D.min()
    dealt: list[list[int]] = [[] for _ in range(parts)]
    told = [0.0] * parts
    for axis in reversed(range(len(told_D))):  # the most telling first
        open_parts = [p for p in range(parts) if len(dealt[p]) < len(told_D) // parts]
        part = min(open_parts, key=told.__getitem__)
        dealt[part].append(axis)
        told[part] += told_D[axis]
    rotation_DD: FloatArray = np.ascontiguousarray(axes_DD[:, np.concatenate(dealt)], np.float32)
    return rotation_DD
