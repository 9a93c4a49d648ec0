"""Calls that may not take long, though nothing in them says so: a name is looked up for ever."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Soon:
    """Calls in a thread; where one is late, it is left behind, and none begins until it has ended.

    The threads end with the process, whatever they wait for.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._late: threading.Thread | None = None

    def call(self, function: Callable[[], T]) -> T:
        """What it returns, or raises. Raises TimeoutError where it is late, or another still is."""
        if self._late is not None and self._late.is_alive():
            raise TimeoutError("an earlier call still waits")
        answers: list[T] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                answers.append(function())
            except Exception as error:  # it is whoever waits who has to know
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self.seconds)
        if thread.is_alive():
            self._late = thread
            raise TimeoutError(f"no answer within {self.seconds:g} seconds")
        if errors:
            raise errors[0]
        return answers[0]
