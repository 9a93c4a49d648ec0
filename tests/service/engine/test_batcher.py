import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from models.contract.bundle import Bundle
from models.contract.types import FloatArray, ItemCodes
from service.engine.batcher import Batcher, Candidates, GoneError
from service.engine.engine import HostEngine
from service.engine.feeds import History
from service.engine.scorer import make_scorer
from service.metrics import Metrics
from service.retrieval.flat import FlatRetriever
from service.retrieval.selection import ANYTHING, Selection
from tests.service.fakes import NAN, POISON, FakeRetriever, FakeScorer
from tests.tiny_bundle import ITEMS


def history(index: int) -> list[ItemCodes]:
    return [ItemCodes(index, np.zeros(2, np.uint16))]


def fake_batcher(scorer: FakeScorer, max_batch: int) -> Batcher:
    metrics = Metrics()
    return Batcher(HostEngine(scorer, FakeRetriever()), metrics, max_batch)


async def busy_batcher(
    scorer: FakeScorer, max_batch: int, index: int = 0, k: int = 1
) -> tuple[Batcher, "asyncio.Task[Candidates]"]:
    """It computes a first request until the scorer's gate is opened."""
    batcher = fake_batcher(scorer, max_batch)
    await batcher.start()
    scorer.gate.clear()
    first = asyncio.create_task(batcher.candidates(history(index), k, ANYTHING))
    await asyncio.sleep(0.05)
    return batcher, first


def ask(batcher: Batcher, indices: Iterable[int], k: int = 1) -> list["asyncio.Task[Candidates]"]:
    return [asyncio.create_task(batcher.candidates(history(n), k, ANYTHING)) for n in indices]


async def submit_all(indices: list[int], scorer: FakeScorer) -> list[object]:
    """Everything waits while a first request is computed, then goes as batches."""
    batcher, first = await busy_batcher(scorer, max_batch=32, k=2)
    try:
        waiting = ask(batcher, indices, k=2)
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


def test_the_queue_s_depth_is_a_metric_while_histories_wait_and_0_after() -> None:
    scorer = FakeScorer()

    async def scenario() -> list[str]:
        batcher = fake_batcher(scorer, max_batch=2)

        def depth() -> str:
            lines = batcher.metrics.exposition().decode().splitlines()
            return next(line for line in lines if line.startswith("bbqrec_queue_depth "))

        await batcher.start()
        scorer.gate.clear()
        asked = ask(batcher, range(20, 26))
        await asyncio.sleep(0.05)  # two are computed
        asked[-1].cancel()
        waiting = depth()
        scorer.gate.set()
        await asyncio.gather(*asked, return_exceptions=True)
        await batcher.close()
        return [waiting, depth()]

    assert asyncio.run(scenario()) == ["bbqrec_queue_depth 4.0", "bbqrec_queue_depth 0.0"]


def test_a_cancelled_request_is_not_computed() -> None:
    scorer = FakeScorer()

    async def scenario() -> None:
        batcher, first = await busy_batcher(scorer, max_batch=8)
        hung_up = asyncio.create_task(batcher.candidates(history(1), 1, ANYTHING))
        await asyncio.sleep(0.05)
        hung_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hung_up
        scorer.gate.set()
        await first
        await batcher.candidates(history(2), 1, ANYTHING)
        await batcher.close()

    asyncio.run(scenario())
    assert scorer.batches == [1, 1]


@pytest.mark.parametrize(
    ("leaves", "error"),
    [({"gone": lambda: True}, GoneError), ({"deadline": 0.0}, TimeoutError)],
    ids=["gone", "too late"],
)
def test_what_nobody_waits_for_is_not_computed(
    leaves: dict[str, Any], error: type[Exception]
) -> None:
    """300 of 300 were; now those that are waited for fill the batch in their place."""
    scorer = FakeScorer()

    async def scenario() -> list[object]:
        batcher, first = await busy_batcher(scorer, max_batch=8, index=20)
        left = [
            asyncio.create_task(batcher.candidates(history(n), 1, ANYTHING, **leaves))
            for n in range(100, 400)
        ]
        waiting = ask(batcher, range(30, 38))
        await asyncio.sleep(0.05)
        scorer.gate.set()
        answers = await asyncio.gather(first, *waiting)
        assert [int(answer.items_K[0]) for answer in answers] == [20, *range(30, 38)]
        failed = await asyncio.gather(*left, return_exceptions=True)
        await batcher.close()
        return list(failed)

    failed = asyncio.run(scenario())
    assert len(failed) == 300
    assert {type(e) for e in failed} == {error}
    assert scorer.batches == [1, 8]


def test_who_leaves_while_it_is_computed_holds_nobody_up() -> None:
    scorer, left = FakeScorer(), threading.Event()

    async def scenario() -> None:
        batcher = fake_batcher(scorer, max_batch=8)
        await batcher.start()
        scorer.gate.clear()
        late = asyncio.create_task(batcher.candidates(history(20), 1, ANYTHING, left.is_set))
        await asyncio.sleep(0.05)
        left.set()
        scorer.gate.set()
        assert (await late).items_K.tolist() == [20]
        assert (await batcher.candidates(history(21), 1, ANYTHING)).items_K.tolist() == [21]
        await batcher.close()

    asyncio.run(scenario())


def test_quick_batches_save_the_way_to_a_thread_and_slow_ones_do_not_stop_the_loop() -> None:
    threads: list[bool] = []

    class Slow(FakeScorer):
        def encode(self, histories: Sequence[History]) -> FloatArray:
            threads.append(threading.current_thread() is threading.main_thread())
            time.sleep(0.01 if histories[0][-1].item_index == 1 else 0)
            return super().encode(histories)

    async def scenario() -> None:
        batcher = fake_batcher(Slow(), max_batch=8)
        await batcher.start()
        for index in (1, 1, 2, 1, 1):
            await batcher.candidates(history(index), 1, ANYTHING)
        await batcher.close()

    asyncio.run(scenario())
    assert threads[:3] == [False, False, False]
    assert threads[4] is False


def test_a_busy_service_computes_in_a_thread_however_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.batcher._QUICK", 60)  # so is every batch of this test
    threads: list[bool] = []

    class Noting(FakeScorer):
        def encode(self, histories: Sequence[History]) -> FloatArray:
            threads.append(threading.current_thread() is threading.main_thread())
            return super().encode(histories)

    async def scenario() -> None:
        batcher = fake_batcher(Noting(), max_batch=32)
        await batcher.start()
        for waiting in (1, 1, 20, 1):
            await asyncio.gather(
                *(batcher.candidates(history(n), 1, ANYTHING) for n in range(20, 20 + waiting))
            )
        await batcher.close()

    asyncio.run(scenario())
    assert threads[1] is True
    assert threads[2] is False


def test_full_batches_follow_each_other_though_the_event_loop_is_busy() -> None:
    """They waited for it: at three times saturation half the answers were lost to that."""
    scorer = FakeScorer()

    async def scenario() -> None:
        batcher, first = await busy_batcher(scorer, max_batch=8, index=20)
        asked = ask(batcher, range(30, 50))
        await asyncio.sleep(0.05)
        scorer.gate.set()
        time.sleep(0.5)  # the loop reads requests
        assert scorer.batches == [1, 8, 8]
        await asyncio.gather(first, *asked)
        assert scorer.batches == [1, 8, 8, 4]
        await batcher.close()

    asyncio.run(scenario())


def test_closing_unstarted_or_twice_is_harmless_and_nobody_waits_for_ever() -> None:
    async def scenario() -> None:
        await fake_batcher(FakeScorer(), max_batch=8).close()
        batcher = fake_batcher(FakeScorer(), max_batch=8)
        await batcher.start()
        await batcher.close()
        await batcher.close()
        with pytest.raises(RuntimeError):
            await batcher.candidates(history(1), 1, ANYTHING)

    asyncio.run(scenario())


def test_what_waits_is_answered_before_it_closes() -> None:
    scorer = FakeScorer()

    async def scenario() -> None:
        batcher, first = await busy_batcher(scorer, max_batch=8, index=20)
        waiting = ask(batcher, range(30, 35))
        await asyncio.sleep(0.05)
        threading.Timer(0.1, scorer.gate.set).start()
        await batcher.close()
        answers = await asyncio.wait_for(asyncio.gather(first, *waiting), 10)
        assert [int(answer.items_K[0]) for answer in answers] == [20, *range(30, 35)]

    asyncio.run(scenario())


def test_a_batch_answers_as_each_request_alone(tiny: Bundle) -> None:
    """The real parts: histories, k and hidden items of all sizes, together and one by one."""
    random = np.random.default_rng(0)
    wanted: list[tuple[list[ItemCodes], int, Selection]] = []
    for _ in range(60):
        rows = random.integers(0, ITEMS, random.integers(1, 13))
        hidden = random.choice(ITEMS, random.integers(0, ITEMS), replace=False)
        made = [ItemCodes(int(n), tiny.semantic_ids.codes_NS[n]) for n in rows]
        wanted.append((made, int(random.integers(1, ITEMS)), Selection(hidden)))

    async def scenario() -> tuple[list[Candidates], list[Candidates]]:
        retriever = FlatRetriever(tiny.item_vectors_ND, 1)
        engine = HostEngine(make_scorer(tiny, "cpu", 1), retriever)
        batcher = Batcher(engine, Metrics(), max_batch=32)
        await batcher.start()
        together = await asyncio.gather(*(batcher.candidates(*asked) for asked in wanted))
        alone = [await batcher.candidates(*asked) for asked in wanted]
        await batcher.close()
        return together, alone

    for batched, alone, (_, k, (hidden, _, _)) in zip(
        *asyncio.run(scenario()), wanted, strict=True
    ):
        assert len(batched.items_K) == min(k, ITEMS - len(hidden))
        assert batched.items_K.tolist() == alone.items_K.tolist()
        assert not np.isin(batched.items_K, hidden).any()
        np.testing.assert_allclose(batched.scores_K, alone.scores_K, atol=1e-5)
