"""Vectors of items: what user vectors are compared with, and what a history is read as."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.contract.config import SequenceConfig
from models.contract.types import FloatArray


@dataclass(frozen=True)
class ItemVectors:
    """Tables of a catalogue, (N, ...), and what makes a vector of codes alone.

    scored_ND: towers' vectors one after another; an inner product with a user vector is a score.
    read_NW: what behaviour towers read of an item in a history, where it is not what they score;
    ``columns`` says which of the D they stand for, a slice a tower.
    code_SKD: the part of every code of every slot; an item's codes' parts add up.
    """

    scored_ND: FloatArray
    read_NW: FloatArray
    code_SKD: FloatArray
    columns: Sequence[slice]

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], config: SequenceConfig) -> Self:
        """From the arrays of a bundle. Raises KeyError or ValueError where they are not these."""
        found = cls(arrays["scored"], arrays["read"], arrays["code"], read_columns(config))
        size, width = config.catalogue_size, config.vector_size
        space = config.code_space
        shapes = {
            "scored": (found.scored_ND, (size, width)),
            "read": (found.read_NW, (size, len(found.columns) * config.width)),
            "code": (found.code_SKD, (space.slots, space.codebook_size + 1, width)),
        }
        for name, (table, shape) in shapes.items():
            if table.shape != shape:
                raise ValueError(f"{name} has shape {table.shape}, the manifest says {shape}")
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a bundle stores."""
        return {"scored": self.scored_ND, "read": self.read_NW, "code": self.code_SKD}

    def read(self, rows: NDArray[np.integer[Any]]) -> FloatArray:
        """What a model reads of these items, (..., D) for rows of any shape."""
        vectors: FloatArray = self.scored_ND[rows]
        if self.columns:
            read, width = self.read_NW[rows], self.read_NW.shape[1] // len(self.columns)
            for n, columns in enumerate(self.columns):
                vectors[..., columns] = read[..., n * width : (n + 1) * width]
        return vectors

    def read_of(self, scored_D: FloatArray, read_W: FloatArray) -> FloatArray:
        """What a model reads of an item that is in no table, (D,)."""
        read_D: FloatArray = scored_D.copy()
        width = len(read_W) // max(1, len(self.columns))
        for n, columns in enumerate(self.columns):
            read_D[columns] = read_W[n * width : (n + 1) * width]
        return read_D

    def finite(self) -> bool:
        """Whether all are numbers; sums tell, at the speed of memory."""
        with np.errstate(over="ignore", invalid="ignore"):
            return all(bool(np.isfinite(table.sum())) for table in self._tables())

    def _tables(self) -> Sequence[FloatArray]:
        return self.scored_ND, self.read_NW, self.code_SKD


def read_columns(config: SequenceConfig) -> tuple[slice, ...]:
    """Columns of the towers that read other vectors of an item than they score."""
    starts = [n * config.width for n, tower in enumerate(config.towers) if "behaviour" in tower]
    return tuple(slice(start, start + config.width) for start in starts)
