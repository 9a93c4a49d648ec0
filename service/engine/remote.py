"""The engine of a worker whose batches another process computes, which alone holds the model.

What lives beside the bundle's items is known to the worker, and scored here, as it is around a
retriever of its own (service/retrieval/overlay.py). The bundle's memory is recalled there.
"""

import time
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.contract.bundle import Bundle
from service.engine.crossing import Question, answered_of, frame_of
from service.engine.engine import Answered
from service.engine.feeds import History
from service.engine.link import Link
from service.retrieval.beside import Beside
from service.retrieval.gone import Gone
from service.retrieval.live import CurrentLive
from service.retrieval.selection import Selection


class RemoteEngine:
    """An Engine. The process behind ``path`` has the bundle for as long as this one lives.

    Raises ProviderError where it cannot have it.
    """

    def __init__(self, path: Path, bundle: Bundle, threads: int, live: CurrentLive) -> None:
        self.link = Link(path, bundle.directory)
        weakref.finalize(self, self.link.close)  # nobody closes one, be it half made
        self.provider, self.retriever = self.link.opened
        self.items, width = bundle.item_vectors_ND.shape
        self.beside = Beside(width, threads)
        self.gone = Gone()
        self.live = live

    @property
    def away(self) -> bool:
        """Whether there is nobody to ask, for now."""
        return self.link.away

    def candidates(
        self, histories: Sequence[History], k: Sequence[int], selections: Sequence[Selection]
    ) -> Answered:
        """The best ``k[b]`` items of each history. Raises EngineAwayError where nobody is there,
        FrameError where the question is too large.
        """
        live = self.live()
        lives = len(live.gone_M) > 0
        question = Question(histories, k, selections, self.gone.of(live), vectors=lives)
        answered = answered_of(self.link.ask(partial(frame_of, question, self.items)))
        if not lives:
            return answered
        started = time.perf_counter()
        found = self.beside.add(answered.found, answered.vectors_BD, k, selections, live)
        took = time.perf_counter() - started
        return answered._replace(found=found, search=answered.search + took)
