"""Micro-batches: whatever waits while a batch is computed forms the next one.

There is no timer: the longest that a request waits for others is the batch before its own. A lone
request starts at once; under load, batches grow by themselves. Where a whole batch waits already,
the thread that computes goes on with it by itself: the event loop may be late.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from models.contract.types import FloatArray, ItemCodes
from service.engine.engine import Engine
from service.engine.remote import RemoteEngine
from service.metrics import Metrics
from service.retrieval.rows import Rows
from service.retrieval.selection import Selection

# Handing a batch to a thread and waking up again takes a third of a lone request's time; this long
# the event loop may stand still instead (seconds).
_QUICK = 0.002
# More wait for each other only where the service is busy: then requests are read while a thread
# computes, on another core.
_FEW = 4


class Spent(NamedTuple):
    """Where the time of a search went, in seconds: waiting, and in the batch that it was part of.

    queue: until the batch began. encode: histories to user vectors. search: of the catalogue.
    """

    queue: float = 0.0
    encode: float = 0.0
    search: float = 0.0

    def beside(self, other: "Spent") -> "Spent":
        """Of two searches that went on at once: the longer of each part."""
        return Spent(*map(max, self, other))


class Candidates(NamedTuple):
    """The best items of one history, best first."""

    scores_K: FloatArray
    items_K: Rows
    spent: Spent = Spent()


class GoneError(Exception):
    """Whoever asked has gone, so nothing was computed."""


class Job(NamedTuple):
    """One history that waits for its candidates, and who waits for them, and how long."""

    history: Sequence[ItemCodes]
    k: int
    selection: Selection
    gone: Callable[[], bool]
    deadline: float  # by the event loop's clock
    submitted: float
    answer: asyncio.Future[Candidates]

    def fault(self, now: float) -> Exception | None:
        """Why nobody waits for it: whoever asked went, or waited too long."""
        if self.gone():
            return GoneError("the client has gone")
        return TimeoutError("the deadline passed in the queue") if now >= self.deadline else None


class Batcher:
    """Has an engine answer waiting histories together, in a thread unless few and quick."""

    def __init__(self, engine: Engine, metrics: Metrics, max_batch: int) -> None:
        self.engine = engine
        self.remote = engine if isinstance(engine, RemoteEngine) else None
        self.metrics = metrics
        self.max_batch = max_batch
        self.waiting: deque[Job] = deque()
        self.pool = ThreadPoolExecutor(1, "bbqrec-batch")
        self.running = False
        self.idle = asyncio.Event()  # nothing waits, and nothing is computed
        self.idle.set()
        self.quick = False  # the last batch was: the next is computed in the event loop itself

    @property
    def away(self) -> bool:
        """Whether nothing can be computed, for now: the process that does has ended."""
        return self.remote is not None and self.remote.away

    async def start(self) -> None:
        """Begin to work, in this event loop."""
        self.loop = asyncio.get_running_loop()
        self.running = True

    async def close(self) -> None:
        """Finish what waits, then stop."""
        self.running = False
        await self.idle.wait()
        self.pool.shutdown()

    async def candidates(
        self,
        history: Sequence[ItemCodes],
        k: int,
        selection: Selection,
        gone: Callable[[], bool] = lambda: False,
        deadline: float = math.inf,
    ) -> Candidates:
        """The best ``k`` items in ``selection`` after ``history``, which has at least one item.

        Nothing is computed once ``gone()`` is true (GoneError) or the event loop's clock has
        reached ``deadline`` (TimeoutError).
        """
        if not self.running:
            raise RuntimeError("the batcher is not running")
        answer: asyncio.Future[Candidates] = self.loop.create_future()
        submitted = time.perf_counter()
        self.waiting.append(Job(history, k, selection, gone, deadline, submitted, answer))
        self.metrics.queue_depth.inc()
        if self.idle.is_set():
            self.idle.clear()
            self.loop.call_soon(self._begin)  # after what else this turn of the loop brings
        return await answer

    def _begin(self) -> None:
        """In the event loop, while nothing is computed."""
        jobs = self._next()
        if not jobs:
            self.idle.set()
        elif self.quick and len(jobs) <= _FEW:
            self._hand_over(jobs, self._answer(jobs))
        else:
            self.pool.submit(self._go_on, jobs)

    def _go_on(self, jobs: list[Job]) -> None:
        """In the thread, for as long as whole batches wait."""
        answers = self._answer(jobs)
        while len(self.waiting) >= self.max_batch and (following := self._next()):
            self.loop.call_soon_threadsafe(_settle_all, jobs, answers)
            jobs, answers = following, self._answer(following)
        self.loop.call_soon_threadsafe(self._hand_over, jobs, answers)

    def _hand_over(self, jobs: list[Job], answers: list[Candidates | Exception]) -> None:
        _settle_all(jobs, answers)
        self.loop.call_soon(self._begin)  # they go out, and whoever came meanwhile joins the next

    def _next(self) -> list[Job]:
        """What waits and is waited for, ``max_batch`` at most."""
        jobs: list[Job] = []
        taken, now = 0, self.loop.time()
        while self.waiting and len(jobs) < self.max_batch:
            job, taken = self.waiting.popleft(), taken + 1
            if (fault := job.fault(now)) is not None:
                self.loop.call_soon_threadsafe(_settle, job.answer, fault)
            elif not job.answer.done():  # it was not cancelled
                jobs.append(job)
        self.metrics.queue_depth.dec(taken)
        return jobs

    def _answer(self, jobs: list[Job]) -> list[Candidates | Exception]:
        """Answers of a batch; where it fails as a whole, each job fails or succeeds alone."""
        started = time.perf_counter()
        for job in jobs:
            self.metrics.queue.observe(started - job.submitted)
        self.metrics.batch_size.observe(len(jobs))
        try:
            return [*self._compute(jobs, started)]
        except Exception as error:  # one bad history must not fail its neighbours
            return [error] if len(jobs) == 1 else [self._alone(job) for job in jobs]
        finally:
            # Who waits for another process lets the event loop go on meanwhile.
            self.quick = self.remote is None and time.perf_counter() - started < _QUICK

    def _alone(self, job: Job) -> Candidates | Exception:
        try:
            return self._compute([job], time.perf_counter())[0]
        except Exception as error:  # handed to whoever asked
            return error

    def _compute(self, jobs: list[Job], started: float) -> list[Candidates]:
        histories, selections = [job.history for job in jobs], [job.selection for job in jobs]
        asked = [job.k for job in jobs]
        found, encode, search, _ = self.engine.candidates(histories, asked, selections)
        self.metrics.encode.observe(encode)
        self.metrics.search.observe(search)
        there_B = (found.items_BK >= 0).sum(axis=1)  # the missing ones are last
        return [
            Candidates(
                scores_K[:there], items_K[:there], Spent(started - job.submitted, encode, search)
            )
            for job, scores_K, items_K, there in zip(jobs, *found, there_B, strict=True)
        ]


def _settle_all(jobs: list[Job], answers: list[Candidates | Exception]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        _settle(job.answer, answer)


def _settle(answer: asyncio.Future[Candidates], result: Candidates | Exception) -> None:
    if answer.done():  # cancelled meanwhile
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
