"""Engine: waiting histories -> the best items of each. Here: the parts of any runtime, on the host.

``device.py`` is the other one: what is between its two graphs never leaves the GPU.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from models.contract.memory import Memory, Recalled
from models.contract.types import FloatArray
from service.engine.feeds import History
from service.engine.scorer import Scorer
from service.retrieval.retriever import Found, Retriever
from service.retrieval.selection import Selection


class Answered(NamedTuple):
    """What a batch found, and what it took: seconds to encode its histories, and to search.

    vectors_BD: what it was found by.
    """

    found: Found
    encode: float
    search: float
    vectors_BD: FloatArray


class Engine(Protocol):
    """Encodes histories and searches the catalogue; ``/model`` names by what."""

    provider: str
    retriever: str

    def candidates(
        self, histories: Sequence[History], k: Sequence[int], selections: Sequence[Selection]
    ) -> Answered:
        """The best ``k[b]`` items of history b in ``selections[b]``, as a Retriever does.

        Each history has 1 to ``max_history`` items. Raises ArithmeticError for a vector of no
        numbers.
        """


class HostEngine:
    """A Scorer and a Retriever: user vectors pass between them in memory."""

    def __init__(self, scorer: Scorer, retriever: Retriever, memory: Memory | None = None) -> None:
        self.memory = memory
        self.scorer = scorer
        self.searcher = retriever
        self.provider = scorer.provider
        self.retriever = retriever.kind

    def candidates(
        self, histories: Sequence[History], k: Sequence[int], selections: Sequence[Selection]
    ) -> Answered:
        """The best ``k[b]`` items of history b in ``selections[b]``."""
        started = time.perf_counter()
        vectors_BD = self.scorer.encode(histories)
        encoded = time.perf_counter()
        check_finite(vectors_BD)
        found = self.searcher.search(vectors_BD, k, recall(self.memory, histories, selections))
        return Answered(found, encoded - started, time.perf_counter() - encoded, vectors_BD)


def check_finite(vectors_BD: FloatArray) -> None:
    """Raises ArithmeticError for vectors that are no numbers."""
    if not np.isfinite(vectors_BD.sum()):
        raise ArithmeticError("the model gave a vector that is not finite")


def recall(
    memory: Memory | None, histories: Sequence[History], selections: Sequence[Selection]
) -> Sequence[Selection]:
    """The selections, with what each history brings to mind."""
    if memory is None:
        return selections
    known = memory.recall_each([[item.item_index for item in history] for history in histories])
    return [
        selection._replace(recalled=Recalled.together((of_history, selection.recalled)))
        for of_history, selection in zip(known, selections, strict=True)
    ]
