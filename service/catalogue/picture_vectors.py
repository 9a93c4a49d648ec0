"""A picture -> its vector, by the image encoder in a bundle and as training would have made it."""

from functools import cached_property
from pathlib import Path
from typing import Any

from models.contract.intake import IntakeError
from models.contract.types import FloatArray
from service.catalogue.opening import opening
from service.runtime import open_session


class PictureVectors:
    """For one thread. The graph is opened when the first picture comes."""

    def __init__(self, graph: Path) -> None:
        self._path = graph

    def of(self, picture: bytes) -> FloatArray:
        """The vector, (X,). Raises IntakeError for what is no picture, or where Pillow is not."""
        try:
            from models.contract.pictures import PictureError, decode, pixels
        except ImportError as error:
            reason = "is not decoded here: install bbqrec[pictures], or send its vector"
            raise IntakeError("picture", reason) from error
        try:
            pixels_B3HW = pixels([decode(picture)])
        except PictureError as error:
            raise IntakeError("picture", str(error)) from error
        (vector_X,) = self._graph.run(None, {"pixels": pixels_B3HW})[0]
        return vector_X  # type: ignore[no-any-return]

    @cached_property
    def _graph(self) -> Any:
        with opening(self._path):
            return open_session(self._path, "cpu", 1)
