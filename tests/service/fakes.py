"""Fakes of the service's own interfaces."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.reliability.like_intake import LikeIntake
from models.contract.bundle import Bundle
from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.engine.engine import HostEngine
from service.engine.feeds import History
from service.engine.scorer import Scorer
from service.generation.follower import Load
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.metrics import Metrics
from service.retrieval.retriever import Found, nothing_found
from service.retrieval.selection import Selection
from service.settings import Settings

POISON, NAN = 13, 14


class FakeScorer:
    """A user vector is the last item's index; two items cannot be scored. Waits at a gate."""

    provider = "fake"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, histories: Sequence[History]) -> FloatArray:
        self.gate.wait(5)
        self.batches.append(len(histories))
        last_B = np.array([history[-1].item_index for history in histories], np.float32)
        if POISON in last_B:
            raise ValueError("poisoned")
        return np.where(last_B == NAN, np.nan, last_B).astype(np.float32)[:, None]


class FakeRetriever:
    """The best item of a query is its number, then the next ones."""

    kind = "fake"

    def search(
        self, vectors_BD: FloatArray, k: Sequence[int], selections: Sequence[Selection]
    ) -> Found:
        found = nothing_found(len(k), max(k))
        hidden = [selection.hidden for selection in selections]
        for row, (first, wanted, rows) in enumerate(zip(vectors_BD[:, 0], k, hidden, strict=True)):
            items = np.arange(int(first), int(first) + wanted + len(rows))
            items = items[~np.isin(items, rows)][:wanted]
            found.items_BK[row, :wanted], found.scores_BK[row, :wanted] = items, -items
        return found


def loader(bundle: Bundle, scorer: Scorer) -> Load:
    """What ``create_app`` takes to serve a bundle with another scorer."""

    def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
        engine = HostEngine(scorer, FakeRetriever())
        items = LiveItems(bundle)
        return new_generation(items, engine, LikeIntake(bundle), settings, metrics)

    return load
