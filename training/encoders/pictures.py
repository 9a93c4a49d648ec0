"""Bytes to an RGB picture of moderate size, whatever the format, mode or orientation."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

LONGEST_SIDE = 512  # more than any encoder here looks at
MAX_BYTES = 64 * 2**20


class PictureError(Exception):
    """Why a picture cannot be used, in a few words for the person who owns it."""


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


def decode(data: bytes) -> Image.Image:
    """The first frame, upright, in RGB, transparency over white. Raises PictureError."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # JPEG: decode no more than we need
            return _to_rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("too many pixels: it may be a decompression bomb") from error
    except UnidentifiedImageError as error:
        raise PictureError("not a picture in a known format") from error
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        raise PictureError(f"damaged: {error or type(error).__name__}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _narrow(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
    if mode == "RGB":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _narrow(image: Image.Image) -> Image.Image:
    """Wide grey values to 8 bits; Pillow itself would clip everything above 255 to white."""
    values = np.nan_to_num(np.asarray(image, np.float32))
    highest = 65_535 if image.mode.startswith("I") else max(float(values.max()), 1.0)
    return Image.fromarray(np.clip(values * (255 / highest), 0, 255).astype(np.uint8))
