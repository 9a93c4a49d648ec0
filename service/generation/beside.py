"""Work in a thread of its own, beside requests.

At their priority: a thread of a lower one, stopped while it has the interpreter, keeps it from all
others until its turn comes, which on a busy machine is late (docs/benchmarks/serving-log.md).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar

from service.pace import paced

Result = TypeVar("Result")


async def beside(call: Callable[[], Result], *, rests: bool = False) -> Result:
    """The result of ``call``. A daemon: who is asked to stop meanwhile does not wait for it.

    rests: it does between its steps.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()
    thread = partial(threading.Thread, daemon=True, name="bbqrec-load")
    thread(target=_run, args=(loop, done, call, rests)).start()
    try:
        return await done
    finally:
        del done  # as in _run


def _run(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Result],
    call: Callable[[], Result],
    rests: bool,
) -> None:
    with paced() if rests else nullcontext():
        outcome = _outcome(call)
    with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
        loop.call_soon_threadsafe(_settle, done, *outcome)
    del done, outcome  # the future holds the error, whose traceback holds this frame: a circle


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
