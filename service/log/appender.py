"""Appender: writes of many requests go to the log together, and wait for one sync."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Generic

from service.log.log import Log, LogError, T

logger = logging.getLogger("bbqrec")
_COMPACT_AFTER = 256  # changes between looks at whether it is worth it


class Appender(Generic[T]):
    """What comes while the log is being written is written together next."""

    def __init__(self, log: Log[T]) -> None:
        self.log = log
        self._waiting: list[tuple[Sequence[T], asyncio.Future[list[int]]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._compacting: asyncio.Task[None] | None = None
        self._since = _COMPACT_AFTER  # the first write has it looked at, too

    async def append(self, values: Sequence[T]) -> list[int]:
        """Their positions, once they are kept. Raises LogError."""
        kept: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((values, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await asyncio.shield(kept)

    async def close(self) -> None:
        """Wait for what is being written."""
        tasks = [task for task in (self._writing, self._compacting) if task is not None]
        await asyncio.gather(*tasks)
        await asyncio.to_thread(self.log.close)

    async def _write(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            together = [value for values, _ in waiting for value in values]
            try:
                positions = iter(await asyncio.to_thread(self.log.append, together))
            except Exception as error:  # it belongs to all who wait
                for _, kept in waiting:
                    kept.set_exception(error)
                    kept.exception()  # who has left does not look
            else:
                for values, kept in waiting:
                    kept.set_result([next(positions) for _ in values])
            self._look_at_size(len(together))
        self._writing = None

    def _look_at_size(self, added: int) -> None:
        self._since += added
        if self._since >= _COMPACT_AFTER and self._compacting is None:
            self._since = 0
            self._compacting = asyncio.create_task(self._compact())

    async def _compact(self) -> None:
        try:
            await asyncio.to_thread(self.log.compact_if_due)
        except LogError as error:
            logger.error("a log cannot be compacted: %s", error)
        finally:
            self._compacting = None
