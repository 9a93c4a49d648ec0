"""One training at a time in an output folder: two would write into each other's files."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import UserError

LOCK = "training.lock"  # whose writer trains, as long as it lives, however it ends


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Raises UserError where another process trains in this folder."""
    output.mkdir(parents=True, exist_ok=True)
    handle = os.open(output / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, output)
        yield
    finally:
        os.close(handle)


def _take(handle: int, output: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        number = os.pread(handle, 20, 0).decode(errors="replace").strip()
        raise UserError(
            f"another bbqrec-train, process {number}, trains in {output}: wait until it is done, "
            "or end it; what it has done by then is not done again"
        ) from error
    os.ftruncate(handle, 0)
    with contextlib.suppress(OSError):  # a full disk: the lock holds without the number
        os.write(handle, b"%d\n" % os.getpid())
