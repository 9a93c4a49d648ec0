"""Micro-batches: whatever waits while a batch is computed forms the next one.

There is no timer: the longest that a request waits for others is the batch before its own. A lone
request starts at once; under load, batches grow by themselves.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from models.contract.types import FloatArray, ItemCodes
from service.engine.engine import Engine
from service.metrics import Metrics
from service.retrieval.retriever import Rows

# Handing a batch to a thread and waking up again takes a third of a lone request's time; this long
# the event loop may stand still instead (seconds).
_QUICK = 0.002
# More wait for each other only where the service is busy: then requests are read while a thread
# computes, on another core.
_FEW = 4


class Candidates(NamedTuple):
    """The best items of one history, best first."""

    scores_K: FloatArray
    items_K: Rows


class GoneError(Exception):
    """Whoever asked has gone, so nothing was computed."""


class Job(NamedTuple):
    """One history that waits for its candidates, and who waits for them, and how long."""

    history: Sequence[ItemCodes]
    k: int
    hidden: Rows
    gone: Callable[[], bool]
    deadline: float  # by the event loop's clock
    submitted: float
    answer: asyncio.Future[Candidates]

    def is_awaited(self, now: float) -> bool:
        """Whether anybody still waits. Whoever went, or waited too long, is told so by an error."""
        if not self.answer.done():
            if self.gone():
                self.answer.set_exception(GoneError("the client has gone"))
            elif now >= self.deadline:
                self.answer.set_exception(TimeoutError("the deadline passed in the queue"))
        return not self.answer.done()


class Batcher:
    """Has an engine answer waiting histories together, in a thread unless few and quick."""

    def __init__(self, engine: Engine, metrics: Metrics, max_batch: int) -> None:
        self.engine = engine
        self.metrics = metrics
        self.max_batch = max_batch
        self.queue: asyncio.Queue[Job | None] = asyncio.Queue()  # None: no more will come
        self.pool = ThreadPoolExecutor(1, "bbqrec-batch")
        self.worker: asyncio.Task[None] | None = None
        self.quick = False  # the last batch was: the next is computed in the event loop itself

    async def start(self) -> None:
        """Begin to work."""
        self.worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Finish what waits, then stop."""
        if self.worker is not None:
            worker, self.worker = self.worker, None
            self.queue.put_nowait(None)
            await worker
        self.pool.shutdown()

    async def candidates(
        self,
        history: Sequence[ItemCodes],
        k: int,
        hidden: Rows,
        gone: Callable[[], bool] = lambda: False,
        deadline: float = math.inf,
    ) -> Candidates:
        """The best ``k`` items after ``history``, which has at least one item, but for ``hidden``.

        ``hidden``: rows of the catalogue, each once. Nothing is computed once ``gone()`` is true
        (GoneError) or the event loop's clock has reached ``deadline`` (TimeoutError).
        """
        if self.worker is None:
            raise RuntimeError("the batcher is not running")
        answer: asyncio.Future[Candidates] = asyncio.get_running_loop().create_future()
        submitted = time.perf_counter()
        self.queue.put_nowait(Job(history, k, hidden, gone, deadline, submitted, answer))
        self.metrics.queue_depth.inc()
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while jobs := await self._next():
            if self.quick and len(jobs) <= _FEW:
                answers = self._answer(jobs)
            else:
                answers = await loop.run_in_executor(self.pool, self._answer, jobs)
            for waiting, answer in zip(jobs, answers, strict=True):
                _settle(waiting.answer, answer)
            await asyncio.sleep(0)  # they go out, and whoever came meanwhile joins the next

    async def _next(self) -> list[Job]:
        """What waits and is waited for, ``max_batch`` at most; nothing where no more will come."""
        jobs: list[Job] = []
        loop = asyncio.get_running_loop()
        while not jobs or (len(jobs) < self.max_batch and not self.queue.empty()):
            if (job := await self.queue.get()) is None:
                self.queue.put_nowait(None)  # for the next call
                break
            self.metrics.queue_depth.dec()
            if job.is_awaited(loop.time()):
                jobs.append(job)
        return jobs

    def _answer(self, jobs: list[Job]) -> list[Candidates | Exception]:
        """Answers of a batch; where it fails as a whole, each job fails or succeeds alone."""
        started = time.perf_counter()
        for job in jobs:
            self.metrics.queue.observe(started - job.submitted)
        self.metrics.batch_size.observe(len(jobs))
        try:
            return [*self._compute(jobs)]
        except Exception as error:  # one bad history must not fail its neighbours
            return [error] if len(jobs) == 1 else [self._alone(job) for job in jobs]
        finally:
            self.quick = time.perf_counter() - started < _QUICK

    def _alone(self, job: Job) -> Candidates | Exception:
        try:
            return self._compute([job])[0]
        except Exception as error:  # handed to whoever asked
            return error

    def _compute(self, jobs: list[Job]) -> list[Candidates]:
        histories, hidden = [job.history for job in jobs], [job.hidden for job in jobs]
        found = self.engine.candidates(histories, [job.k for job in jobs], hidden)
        there_B = (found.items_BK >= 0).sum(axis=1)  # the missing ones are last
        return [
            Candidates(scores_K[:there], items_K[:there])
            for scores_K, items_K, there in zip(*found, there_B, strict=True)
        ]


def _settle(answer: asyncio.Future[Candidates], result: Candidates | Exception) -> None:
    if answer.done():  # cancelled while it was computed
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
