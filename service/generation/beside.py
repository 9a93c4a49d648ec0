"""Work in a thread of its own, beside requests, which go first."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")
_LOW_PRIORITY = 10


async def beside(call: Callable[[], Result], *, yielding: bool) -> Result:
    """The result of ``call``. A daemon: who is asked to stop meanwhile does not wait for it.

    yielding: at low priority, which threads that it starts inherit, and keep.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()
    thread = partial(threading.Thread, daemon=True, name="bbqrec-load")
    thread(target=_run, args=(loop, done, call, yielding)).start()
    try:
        return await done
    finally:
        del done  # as in _run


def _run(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Result],
    call: Callable[[], Result],
    yielding: bool,
) -> None:
    if yielding:
        _give_way()
    outcome = _outcome(call)
    with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
        loop.call_soon_threadsafe(_settle, done, *outcome)
    del done, outcome  # the future holds the error, whose traceback holds this frame: a circle


def _give_way() -> None:
    """Priorities may be lowered by whoever wants to, and never raised."""
    this = threading.get_native_id()
    if os.getpriority(os.PRIO_PROCESS, this) < _LOW_PRIORITY:
        os.setpriority(os.PRIO_PROCESS, this, _LOW_PRIORITY)


def _outcome(call: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    try:
        return call(), None
    except Exception as error:  # it belongs to whoever waits
        return None, error


def _settle(done: asyncio.Future[Result], result: Any, error: Exception | None) -> None:
    if done.done():  # cancelled
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)
