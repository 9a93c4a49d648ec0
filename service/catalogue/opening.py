"""Opening: files of a bundle that are read when they are first needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.contract.intake import IntakeAwayError


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Raises IntakeAwayError where the file is there and cannot be read: each library says in its
    own way that no memory, or no more open files, are to be had.
    """
    try:
        yield
    except Exception as error:
        if not path.is_file():
            raise
        raise IntakeAwayError(f"{path.name} cannot be opened now: {error}") from error
