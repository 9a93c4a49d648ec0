"""How long a call may take, in time in which this process was there to see it answered.

A busy event loop, or a busy machine, looks from inside as if the other end did not answer: the
answer has come, and nobody has read it. So the wait is cut in ticks, and a tick that ended late
does not count against the other end.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

TICKS = 8
T = TypeVar("T")


class NoAnswerError(Exception):
    """Not in time. ``own_delay``: this process was late itself, and knows nothing of the other."""

    def __init__(self, seconds: float, *, own_delay: bool) -> None:
        cause = "this process was late itself" if own_delay else "no answer"
        super().__init__(f"{cause} in {seconds:g} s")
        self.own_delay = own_delay


async def within(seconds: float, call: Awaitable[T]) -> T:
    """The answer of ``call``, which ends with this in any case.

    Raises NoAnswerError after as many ticks in time as make up ``seconds``, or after twice as
    many, if too few of them were.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(call)
    task.add_done_callback(_look_at)
    tick, in_time = seconds / TICKS, 0
    try:
        for _ in range(2 * TICKS):
            began = loop.time()
            await asyncio.wait([task], timeout=tick)
            if task.done():
                return task.result()
            in_time += loop.time() - began < 2 * tick
            if in_time == TICKS:
                break
    finally:
        task.cancel()
    raise NoAnswerError(seconds, own_delay=in_time < TICKS)


def _look_at(task: asyncio.Future[Any]) -> None:
    """What a call that was given up still says, as its client comes to an end: nobody asks."""
    if not task.cancelled():
        task.exception()
