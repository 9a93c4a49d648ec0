"""Retrieval: time a query, memory an item and recall, beside FAISS's own indexes."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import faiss
import numpy as np

from benchmarks.serving.catalogue import best, drawn, learned, recall
from benchmarks.serving.machine import bytes_per_ms, interleaved
from benchmarks.serving.rows import Row
from models.contract.types import FloatArray
from service.retrieval.choose import exact_retriever
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.retriever import Retriever
from service.retrieval.selection import ANYTHING
from training.export.index import learn_index

WHAT = "retrieval"
SIZES = (12_000, 100_000, 1_000_000, 10_000_000)
_K, _QUERIES = 100, 200
_GRAPHS_UP_TO = 100_000  # a graph over a million takes longer to build than all else here
_EXACT_UP_TO = 1_000_000  # ours keeps a copy of its own
_REFERENCE = "faiss flat"


class Contender(NamedTuple):
    """An index that was built."""

    search: Callable[[FloatArray], Any]  # -> item indices (B, K)
    bytes_an_item: float  # of what is scanned
    build_seconds: float


def rows(
    sizes: Sequence[int] = SIZES, repetitions: int = 5, spreads: Sequence[float] = (1.0, 2.0)
) -> Iterator[Row]:
    """Every figure of every size; the harder spreads at a million items only."""
    seed, bandwidth = learned(), bytes_per_ms()
    users_BD = np.ascontiguousarray(seed.users_UD[:_QUERIES])
    for items in sizes:
        for spread in spreads if items == 1_000_000 else spreads[:1]:
            vectors_ND = drawn(seed, items, spread)
            label = f"{items:,} items" + ("" if spread == 1 else f", spread {spread:g}")
            yield from _of_size(vectors_ND, users_BD, label, bandwidth, repetitions)


def _of_size(
    vectors_ND: FloatArray, users_BD: FloatArray, label: str, bandwidth: float, repetitions: int
) -> Iterator[Row]:
    faiss.omp_set_num_threads(1)
    truth_BK = best(vectors_ND, users_BD, _K)
    found = {name: make(vectors_ND) for name, make in _makers(len(vectors_ND)).items()}
    for name, contender in found.items():
        yield Row(WHAT, name, label, contender.bytes_an_item, "bytes/item")
        yield Row(WHAT, name, label, contender.build_seconds, "build s")
        yield Row(WHAT, name, label, recall(contender.search(users_BD), truth_BK), "recall@100")
    for batch in (1, 32):
        asked = _asked(batch, len(vectors_ND))
        calls = {
            name: partial(_one_after_another, contender, users_BD, batch, asked)
            for name, contender in found.items()
        }
        taken = interleaved(calls, 1, repetitions)
        times = {name: ms / asked for name, ms in taken.items()}
        times["floor (memory)"] = vectors_ND.nbytes / bandwidth / batch
        for name, ms in times.items():
            ratio = ms / times[_REFERENCE]
            yield Row(WHAT, name, f"{label} B={batch}", ms, "ms", _REFERENCE, ratio)


def _asked(batch: int, items: int) -> int:
    """Queries a repetition: few where each has FAISS's flat index read gigabytes."""
    calls = 32 if batch == 1 else 3
    return batch * (calls if items < 10**7 else max(1, calls // 8))


def _one_after_another(contender: Contender, users_BD: FloatArray, batch: int, asked: int) -> None:
    for first in range(0, asked, batch):
        contender.search(users_BD[first : first + batch])


def _makers(items: int) -> dict[str, Callable[[FloatArray], Contender]]:
    makers: dict[str, Callable[[FloatArray], Contender]] = {_REFERENCE: _flat}
    if items <= _EXACT_UP_TO:
        makers["bbqrec exact"] = _exact
    makers["bbqrec compressed"] = _compressed
    if items <= _GRAPHS_UP_TO:
        makers |= {"faiss hnsw32": _hnsw, "faiss ivf-pq32": _ivf_pq}
    return makers


def _built(index: Any, vectors_ND: FloatArray, bytes_an_item: float) -> Contender:
    started = time.perf_counter()
    faiss.omp_set_num_threads(2)
    sample = np.random.default_rng(0).permutation(len(vectors_ND))[:100_000]
    index.train(vectors_ND[np.sort(sample)])
    index.add(vectors_ND)
    seconds = time.perf_counter() - started
    return Contender(lambda q: _single(lambda: index.search(q, _K)[1]), bytes_an_item, seconds)


def _single(search: Callable[[], Any]) -> Any:
    faiss.omp_set_num_threads(1)
    return search()


def _flat(vectors_ND: FloatArray) -> Contender:
    """As FAISS comes: it never turns to matrix products at these batches."""
    index = faiss.IndexFlatIP(vectors_ND.shape[1])
    contender = _built(index, vectors_ND, vectors_ND.itemsize * vectors_ND.shape[1])

    def search(queries_BD: FloatArray) -> Any:
        faiss.cvar.distance_compute_blas_threshold = 2**31 - 1
        return contender.search(queries_BD)

    return contender._replace(search=search)


def _exact(vectors_ND: FloatArray) -> Contender:
    started = time.perf_counter()
    retriever = exact_retriever(vectors_ND, 1)
    seconds, threshold = time.perf_counter() - started, faiss.cvar.distance_compute_blas_threshold

    def search(queries_BD: FloatArray) -> Any:
        faiss.cvar.distance_compute_blas_threshold = threshold
        return _search(retriever, queries_BD)

    return Contender(search, vectors_ND.itemsize * vectors_ND.shape[1], seconds)


def _compressed(vectors_ND: FloatArray) -> Contender:
    started = time.perf_counter()
    index = learn_index(vectors_ND)
    retriever = CompressedRetriever(vectors_ND, index.faiss, index.rotation_DD, 1)
    seconds = time.perf_counter() - started
    return Contender(
        lambda queries_BD: _search(retriever, queries_BD),
        scanned_bytes(retriever),
        seconds,
    )


def _search(retriever: Retriever, queries_BD: FloatArray) -> Any:
    queries = len(queries_BD)
    return retriever.search(queries_BD, [_K] * queries, [ANYTHING] * queries).items_BK


def scanned_bytes(retriever: CompressedRetriever) -> float:
    """Bytes an item of codes and item indices; the centres of the lists come to it, once."""
    return float(retriever.index.code_size + 8)


def _hnsw(vectors_ND: FloatArray) -> Contender:
    width = vectors_ND.shape[1]
    index = faiss.IndexHNSWFlat(width, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 4 * _K
    return _built(index, vectors_ND, 4 * width + 2 * 32 * 4)


def _ivf_pq(vectors_ND: FloatArray) -> Contender:
    """FAISS's usual recipe at 32 bytes and its item index, without re-ranking."""
    width, lists = vectors_ND.shape[1], 1 << round(np.log2(len(vectors_ND) ** 0.5))
    coarse = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFPQ(coarse, width, lists, 32, 8, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = max(1, lists // 8)
    return _built(index, vectors_ND, 32 + 8)
