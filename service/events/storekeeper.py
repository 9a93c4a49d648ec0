"""Storekeeper: has the process that stores events run, as long as this one does."""

import asyncio
import contextlib
import logging
import os
import sys
import time

from service.events.feed import Feed
from service.events.storing import NOT_INSTALLED, Progress, Storing
from service.log.disk import held
from service.log.log import LogError
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_ONE_THREAD = {"POLARS_MAX_THREADS": "1"}  # the others are for answers
_GRACE = 3.0  # seconds that it may take to end
_LOOK = 5.0  # seconds between looks at whether any process stores
_MEASURE = 2.0  # seconds between looks at what is stored


class Storekeeper:
    """Of several processes that serve one folder, one has it run; when that ends, another does.

    All of them measure how long events wait to be stored.
    """

    def __init__(self, storing: Storing, feed: Feed, metrics: Metrics) -> None:
        self.storing = storing
        self.feed = feed
        self.metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look after it."""
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._measure())]

    async def close(self) -> None:
        """Have it store what there is, as far as it can in a few seconds, and end."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _measure(self) -> None:
        """Since when has the log held what is in no file?"""
        mark, since = self.feed.position, time.monotonic()
        while True:
            await asyncio.sleep(_MEASURE)
            try:
                stored = await asyncio.to_thread(Progress.read, self.storing.folder)
            except (OSError, ValueError):  # whoever stores says why in its log
                stored = Progress()
            if stored.position >= mark:
                mark, since = self.feed.position, time.monotonic()
            waits = stored.position < mark
            self.metrics.events_unstored.set(time.monotonic() - since if waits else 0)

    async def _keep(self) -> None:
        while True:
            try:
                if await asyncio.to_thread(self._wanted) and await self._run():
                    log.error("events stay in their log, which grows: `pip install bbqrec[events]`")
                    return
            except OSError as error:  # memory, processes or files have run out
                log.error("events stay in their log, which grows: nothing stores them: %s", error)
            await asyncio.sleep(_LOOK)

    def _wanted(self) -> bool:
        """There is a log, and nobody stores it."""
        elsewhere = self.storing.log_url or self.storing.kafka
        if not elsewhere and not self.storing.folder.exists():
            return False
        try:
            with held(self.storing.folder / "storing", wait=False) as free:
                return free
        except LogError:
            return False

    async def _run(self) -> bool:
        """Until it ends; whether it can never run."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.events.program"),
            stdin=asyncio.subprocess.PIPE,
            env={**_ONE_THREAD, **os.environ},
        )
        assert process.stdin is not None
        process.stdin.write(self.storing.model_dump_json().encode() + b"\n")
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await process.wait()
            if process.returncode is None:
                process.kill()  # it may be, at any moment
                await process.wait()
            raise
        return status == NOT_INSTALLED
