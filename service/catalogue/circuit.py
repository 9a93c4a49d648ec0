"""Circuit: whether Redis may be asked. After a failure nobody is made to wait for it any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from service.catalogue.patience import NoAnswerError
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_DOUBTS = 3  # delays of our own in a row: Redis may be fine, and yet nobody should wait again
_CANCELLED_AGAIN = 0.1  # seconds


class Circuit:
    """Open after a failure; closed again by a look in the background, whether anybody asks or not.

    ``ask`` raises where Redis does not answer. Failures are counted by whose they are.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[object]], pause: float, metrics: Metrics
    ) -> None:
        self.ask = ask
        self.pause = max(pause, 0.1)
        self.metrics = metrics
        self.open = False
        self._doubts = 0
        self._warned = False
        self._looking: asyncio.Task[None] | None = None

    def succeeded(self) -> None:
        """A call was answered."""
        self._doubts = 0

    def failed(self, error: Exception) -> None:
        """A call was not: ask no more until a look has found it well, unless we were late."""
        self._count(error)
        self._doubts = self._doubts + 1 if _own(error) else _DOUBTS
        if self._doubts >= _DOUBTS and not self.open:
            log.info("Redis is left alone for %g s: %s: %s", self.pause, *_named(error))
            self.open = True
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Look no more."""
        await ended(self._looking)

    async def _look(self) -> None:
        while self.open:
            await asyncio.sleep(self.pause)
            try:
                await self.ask()
            except Exception as error:  # whatever Redis does: this must go on
                self._count(error)
                self._warn(error)
            else:
                self._recovered()

    def _recovered(self) -> None:
        if self._warned:
            log.info("Redis answers again")
        self.open, self._doubts, self._warned = False, 0, False

    def _warn(self, error: Exception) -> None:
        """Once, and not for a hiccup: a pause after the failure it fails again."""
        if not self._warned and not _own(error):
            self._warned = True
            log.warning("going on without Redis: %s: %s", *_named(error))

    def _count(self, error: Exception) -> None:
        self.metrics.cache_errors.labels("own_delay" if _own(error) else "redis").inc()


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, again if need be: a client that is just timing out takes it for its own."""
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCELLED_AGAIN)


def _own(error: Exception) -> bool:
    return isinstance(error, NoAnswerError) and error.own_delay


def _named(error: Exception) -> tuple[str, Exception]:
    return type(error).__name__, error
