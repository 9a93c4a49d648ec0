"""Which retriever serves a catalogue."""

from models.contract.types import FloatArray
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.flat import FlatRetriever
from service.retrieval.matrix import MOST_BYTES, MatrixRetriever
from service.retrieval.retriever import Retriever
from service.settings import RetrieverKind

EXACT_UP_TO = 200_000  # items; beyond, a lone exact query takes over 10 ms


def make_retriever(
    item_vectors_ND: FloatArray, kind: RetrieverKind, threads: int, *, gpu: bool = False
) -> Retriever:
    """``auto``: exact up to ``EXACT_UP_TO`` items, compressed beyond."""
    if kind == "compressed" or (kind == "auto" and len(item_vectors_ND) > EXACT_UP_TO):
        return CompressedRetriever(item_vectors_ND, threads)
    if gpu or item_vectors_ND.nbytes > MOST_BYTES:
        return FlatRetriever(item_vectors_ND, threads, gpu=gpu)
    return MatrixRetriever(item_vectors_ND, threads)
