"""Files that processes share: locks, and faults said in one sentence."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.log.log import LogError


@contextmanager
def held(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """The lock of a file, which ends with its process however that ends. False: others have it."""
    with said(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


@contextmanager
def said(folder: Path) -> Iterator[None]:
    """OSError as LogError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise LogError(f"the log in {folder} is not to be had: {reason}") from error


def same_file(handle: int, path: Path) -> bool:
    """Whether a path is still the file that is open. Raises FileNotFoundError without one."""
    return os.path.samestat(os.fstat(handle), path.stat())


def state(path: Path) -> tuple[int, int] | None:
    """What changes when somebody writes: which file it is, and how long."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size
