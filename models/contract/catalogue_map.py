"""The catalogue in two dimensions, to be looked at."""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models.contract.mapped import load_mapped
from models.contract.types import IndexArray

MOST_POINTS = 50_000
SPAN = np.iinfo(np.uint16).max


class CatalogueMap(NamedTuple):
    """Some items, the most used first, and where they lie.

    rows_J: of the catalogue. places_J2: in 0 to ``SPAN`` each way, since nobody sees more.
    held: the share of how items differ that two dimensions hold.
    """

    rows_J: IndexArray
    places_J2: NDArray[np.uint16]
    held: float

    def write(self, path: Path) -> None:
        """As a bundle holds it."""
        held = np.array(self.held)
        save_file({"rows": self.rows_J, "places": self.places_J2, "held": held}, path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises KeyError, ValueError, OSError or SafetensorError for another file."""
        arrays = load_mapped(path)
        return cls(arrays["rows"], arrays["places"], float(arrays["held"]))
