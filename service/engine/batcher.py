"""Micro-batches: whatever waits while a batch is computed forms the next one.

There is no timer: the longest that a request waits for others is the batch before its own. A lone
request starts at once; under load, batches grow by themselves.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray, ItemCodes
from service.engine.engine import Engine
from service.metrics import Metrics

# Handing a batch to a thread and waking up again takes a third of a lone request's time; this long
# the event loop may stand still instead (seconds).
_QUICK = 0.002
# More wait for each other only where the service is busy: then requests are read while a thread
# computes, on another core.
_FEW = 4


class Candidates(NamedTuple):
    """The best items of one history, best first."""

    scores_K: FloatArray
    items_K: NDArray[np.int64]


class Job(NamedTuple):
    """One history that waits for its candidates."""

    history: Sequence[ItemCodes]
    k: int
    submitted: float
    answer: asyncio.Future[Candidates]


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

    async def candidates(self, history: Sequence[ItemCodes], k: int) -> Candidates:
        """The best ``k`` items after ``history``, which has at least one item."""
        if self.worker is None:
            raise RuntimeError("the batcher is not running")
        answer: asyncio.Future[Candidates] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(Job(history, k, time.perf_counter(), answer))
        self.metrics.queue_depth.inc()
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        job = await self.queue.get()
        while job is not None:
            jobs = [job]
            while len(jobs) < self.max_batch and not self.queue.empty():
                if (job := self.queue.get_nowait()) is None:
                    break
                jobs.append(job)
            self.metrics.queue_depth.dec(len(jobs))
            # Whoever gave up (a deadline, a caller that went away) cancelled: nobody waits for it.
            jobs = [waiting for waiting in jobs if not waiting.answer.done()]
            if jobs:
                if self.quick and len(jobs) <= _FEW:
                    answers = self._answer(jobs)
                else:
                    answers = await loop.run_in_executor(self.pool, self._answer, jobs)
                for waiting, answer in zip(jobs, answers, strict=True):
                    _settle(waiting.answer, answer)
                await asyncio.sleep(0)  # they go out, and whoever came meanwhile joins the next
            if job is not None:
                job = await self.queue.get()

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
        found = self.engine.candidates([job.history for job in jobs], max(job.k for job in jobs))
        return [
            Candidates(scores_K[: job.k], items_K[: job.k])
            for job, scores_K, items_K in zip(jobs, found.scores_BK, found.items_BK, strict=True)
        ]


def _settle(answer: asyncio.Future[Candidates], result: Candidates | Exception) -> None:
    if answer.done():  # cancelled while it was computed
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
