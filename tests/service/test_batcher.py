import asyncio

import numpy as np
import pytest

from models.types import ItemCodes
from service.batcher import Batcher, Candidates
from service.metrics import Metrics
from tests.service.fakes import NAN, POISON, FakeRetriever, FakeScorer


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


@pytest.mark.parametrize(("poison", "error"), [(POISON, ValueError), (NAN, ArithmeticError)])
def test_a_poisoned_request_fails_alone(poison: int, error: type[Exception]) -> None:
    *good, bad = asyncio.run(submit_all([*range(20, 51), poison], FakeScorer()))
    assert isinstance(bad, error)
    assert len(good) == 31
    assert all(isinstance(answer, Candidates) for answer in good)


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


def test_closing_unstarted_or_twice_is_harmless_and_nobody_waits_for_ever() -> None:
    async def scenario() -> None:
        await Batcher(FakeScorer(), FakeRetriever(), Metrics(), max_batch=8).close()
        batcher = Batcher(FakeScorer(), FakeRetriever(), Metrics(), max_batch=8)
        await batcher.start()
        await batcher.close()
        await batcher.close()
        with pytest.raises(RuntimeError):
            await batcher.candidates(history(1), 1)

    asyncio.run(scenario())
