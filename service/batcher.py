"""Micro-batches: whatever waits while a batch is computed forms the next one.

There is no timer. A lone request starts at once; under load, batches grow by themselves.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.types import FloatArray, ItemCodes
from service.metrics import Metrics
from service.retriever import Retriever
from service.scorer import Scorer


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
    """Encodes and searches waiting histories together, in one thread of its own."""

    def __init__(
        self, scorer: Scorer, retriever: Retriever, metrics: Metrics, max_batch: int
    ) -> None:
        self.scorer = scorer
        self.retriever = retriever
        self.metrics = metrics
        self.max_batch = max_batch
        self.queue: asyncio.Queue[Job] = asyncio.Queue()
        self.pool = ThreadPoolExecutor(1, "bbqrec-batch")
        self.worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to work."""
        self.worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; what still waits is cancelled."""
        if self.worker is not None:
            self.worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.worker
        self.pool.shutdown(wait=True)

    async def candidates(self, history: Sequence[ItemCodes], k: int) -> Candidates:
        """The best ``k`` items after ``history``, which has at least one item."""
        answer: asyncio.Future[Candidates] = asyncio.get_running_loop().create_future()
        await self.queue.put(Job(history, k, time.perf_counter(), answer))
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            jobs = [await self.queue.get()]
            while len(jobs) < self.max_batch and not self.queue.empty():
                jobs.append(self.queue.get_nowait())
            # A client that hung up has cancelled its answer: nobody waits for it.
            jobs = [job for job in jobs if not job.answer.done()]
            if jobs:
                answers = await loop.run_in_executor(self.pool, self._answer, jobs)
                for job, answer in zip(jobs, answers, strict=True):
                    _settle(job.answer, answer)

    def _answer(self, jobs: list[Job]) -> list[Candidates | Exception]:
        """Answers of a batch; where it fails as a whole, each job fails or succeeds alone."""
        started = time.perf_counter()
        for job in jobs:
            self.metrics.queue.observe(started - job.submitted)
        self.metrics.batch_size.observe(len(jobs))
        try:
            return list(self._compute(jobs))
        except Exception as error:  # one bad history must not fail its neighbours
            if len(jobs) == 1:
                return [error]
            return [answer for job in jobs for answer in self._alone(job)]

    def _alone(self, job: Job) -> list[Candidates | Exception]:
        try:
            return list(self._compute([job]))
        except Exception as error:  # handed to whoever asked
            return [error]

    def _compute(self, jobs: list[Job]) -> list[Candidates]:
        with self.metrics.encode.time():
            vectors_BD = self.scorer.encode([job.history for job in jobs])
        with self.metrics.search.time():
            found = self.retriever.search(vectors_BD, max(job.k for job in jobs))
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
