"""Which retriever serves a catalogue."""

from models.contract.bundle import Bundle
from models.contract.types import FloatArray
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.flat import FlatRetriever
from service.retrieval.matrix import MOST_BYTES, MatrixRetriever
from service.retrieval.retriever import BaseRetriever
from service.settings import RetrieverKind


def make_retriever(
    bundle: Bundle, kind: RetrieverKind, threads: int, *, gpu: bool = False
) -> BaseRetriever:
    """``auto``: compressed where the bundle has an index, which large catalogues do, else exact."""
    if kind == "compressed" or (kind == "auto" and bundle.index_path):
        return CompressedRetriever.load(bundle, threads)
    return exact_retriever(bundle.item_vectors_ND, threads, gpu=gpu)


def exact_retriever(vectors_ND: FloatArray, threads: int, *, gpu: bool = False) -> BaseRetriever:
    """Whatever scores all items: as one graph while they fit in one."""
    if gpu or vectors_ND.nbytes > MOST_BYTES:
        return FlatRetriever(vectors_ND, threads, gpu=gpu)
    return MatrixRetriever(vectors_ND, threads)
