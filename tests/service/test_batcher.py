import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from models.types import FloatArray, ItemCodes
from service.batcher import Batcher
from service.metrics import Metrics
from service.retriever import Found
from service.scorer import History

POISON = 13


class FakeScorer:
    """A user vector is the last item's index; item 13 cannot be scored."""

    provider = "fake"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, histories: Sequence[History]) -> FloatArray:
        self.gate.wait(5)
        self.batches.append(len(histories))
        last = [history[-1].item_index for history in histories]
        if POISON in last:
            raise ValueError("poisoned")
        return np.array(last, np.float32)[:, None]


class FakeRetriever:
    """The best item of a query is its number."""

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        items_BK = vectors_BD.astype(np.int64) + np.arange(k)
        return Found(-items_BK.astype(np.float32), items_BK)


def history(index: int) -> list[ItemCodes]:
    return [ItemCodes(index, np.zeros(2, np.uint16))]


async def submit_all(indices: list[int], scorer: FakeScorer) -> list[object]:
    """Everything waits while a first request is computed, then goes as batches."""
    batcher = Batcher(scorer, FakeRetriever(), Metrics(), max_batch=32)
    await batcher.start()
    try:
        scorer.gate.clear()
        first = asyncio.create_task(batcher.candidates(history(0), 2))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(batcher.candidates(history(n), 2)) for n in indices]
        await asyncio.sleep(0.05)
        scorer.gate.set()
        await first
        return list(await asyncio.gather(*waiting, return_exceptions=True))
    finally:
        await batcher.close()


def test_what_waits_is_computed_together_and_everyone_gets_their_own() -> None:
    scorer = FakeScorer()
    answers = asyncio.run(submit_all(list(range(20, 40)), scorer))
    assert scorer.batches == [1, 20]
    assert [answer.items_K.tolist() for answer in answers] == [  # type: ignore[attr-defined]
        [n, n + 1] for n in range(20, 40)
    ]


def test_a_poisoned_request_fails_alone() -> None:
    answers = asyncio.run(submit_all([*range(20, 51), POISON], FakeScorer()))
    assert sum(isinstance(answer, ValueError) for answer in answers) == 1
    assert isinstance(answers[-1], ValueError)


def test_batches_are_no_larger_than_allowed() -> None:
    scorer = FakeScorer()
    asyncio.run(submit_all(list(range(100, 180)), scorer))
    assert max(scorer.batches) == 32
    assert sum(scorer.batches) == 81


def test_a_cancelled_request_is_not_computed() -> None:
    scorer = FakeScorer()

    async def scenario() -> None:
        batcher = Batcher(scorer, FakeRetriever(), Metrics(), max_batch=8)
        await batcher.start()
        scorer.gate.clear()
        first = asyncio.create_task(batcher.candidates(history(0), 1))
        await asyncio.sleep(0.05)
        hung_up = asyncio.create_task(batcher.candidates(history(1), 1))
        await asyncio.sleep(0.05)
        hung_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hung_up
        scorer.gate.set()
        await first
        await batcher.candidates(history(2), 1)
        await batcher.close()

    asyncio.run(scenario())
    assert scorer.batches == [1, 1]


def test_closing_twice_or_unstarted_is_harmless() -> None:
    async def scenario() -> None:
        batcher = Batcher(FakeScorer(), FakeRetriever(), Metrics(), max_batch=8)
        await batcher.close()

    asyncio.run(scenario())
