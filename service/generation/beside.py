"""Work in a thread of its own, beside requests, which go first."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
_LOW_PRIORITY = 10


async def beside(call: Callable[[], Result], *, yielding: bool) -> Result:
    """The result of ``call``. A daemon: who is asked to stop meanwhile does not wait for it.

    yielding: at low priority, which threads that it starts inherit, and keep.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def run() -> None:
        if yielding:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        try:
            result = call()
        except Exception as error:  # it belongs to whoever waits
            _tell(loop, done, lambda raised=error: done.set_exception(raised))  # type: ignore[misc]
        else:
            _tell(loop, done, lambda: done.set_result(result))

    threading.Thread(target=run, daemon=True, name="bbqrec-load").start()
    return await done


def _tell(
    loop: asyncio.AbstractEventLoop, done: asyncio.Future[Result], settle: Callable[[], None]
) -> None:
    with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
        loop.call_soon_threadsafe(lambda: None if done.done() else settle())
