"""Picture files, before they are decoded (models/contract/pictures.py)."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from models.contract.pictures import PictureError

MAX_BYTES = 64 * 2**20


def read_picture(path: Path) -> bytes:
    """A picture file's bytes; a pipe or an absurdly large file is refused unread."""
    if not path.is_file():
        raise PictureError("no such file")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PictureError(f"larger than {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror}") from error


@contextmanager
def pillow_warnings() -> Iterator[None]:
    """A decompression bomb is an error; Pillow's other remarks on odd files are not our user's.

    Warning filters are shared by all threads, so this goes around a pool, not inside it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
