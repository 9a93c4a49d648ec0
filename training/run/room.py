"""A disk that is full, said in one sentence whatever library came upon it."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SAID = ("no space left", "quota exceeded", "file too large")  # by libraries with errors of theirs
_LEAST = 2**20  # bytes: with fewer it is what torch could not write for


@contextmanager
def room(output: Path, what: str) -> Iterator[None]:
    """Where ``what`` is made. Raises UserError that names what lacks room."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _is_full(error, output):
            raise
        where = getattr(error, "filename", None) or output
        free = shutil.disk_usage(output).free / 2**20
        raise UserError(
            f"no room is left for {what}: {where} could not be written, {free:,.0f} MiB are free "
            f"({error}). What serves is as it was. Make room, and run again: it goes on from here"
        ) from error


def _is_full(error: BaseException, output: Path) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        told = isinstance(cause, OSError) and cause.errno in _FULL
        if told or any(said in str(cause).lower() for said in _SAID):
            return True
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, RuntimeError) and shutil.disk_usage(output).free < _LEAST
