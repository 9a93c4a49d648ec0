"""Bytes to what the default image encoder looks at, whatever the format, mode or orientation.

Training and the service read a picture alike. Needs Pillow, which a service without the extra
``pictures`` does not have: import it where a picture comes.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from models.contract.types import FloatArray

LONGEST_SIDE = 512  # more than any encoder here looks at
SIDE = 224
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet, per channel
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class PictureError(Exception):
    """Why a picture cannot be used, in a few words for the person who owns it."""


def decode(data: bytes) -> Image.Image:
    """The first frame, upright, in RGB, transparency over white. Raises PictureError."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf):
                raise Image.DecompressionBombError  # Pillow itself only warns up to twice as many
            image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # JPEG: decode no more than we need
            return _to_rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("too many pixels: it may be a decompression bomb") from error
    except UnidentifiedImageError as error:
        raise PictureError("not a picture in a known format") from error
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        raise PictureError(f"damaged: {error or type(error).__name__}") from error


def pixels(pictures: Sequence[Image.Image]) -> FloatArray:
    """(B, 3, SIDE, SIDE), squeezed to a square so that nothing is cut off, standardised."""
    squares = [picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC) for picture in pictures]
    pixels_BHW3 = np.stack([np.asarray(square) for square in squares]).astype(np.float32)
    standard_BHW3: FloatArray = (pixels_BHW3 / np.float32(255) - MEAN) / DEVIATION
    return standard_BHW3.transpose(0, 3, 1, 2)  # no copy: torch calls that channels_last


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
