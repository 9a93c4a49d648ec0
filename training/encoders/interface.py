"""What every encoder of content is."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from models.contract.types import FloatArray

Content = TypeVar("Content")
Encodable_contra = TypeVar("Encodable_contra", contravariant=True)


class Encoder(Protocol[Encodable_contra]):
    """A frozen function from content to vectors; equal content gives equal vectors."""

    @property
    def name(self) -> str:
        """Model, weights and preprocessing: whatever changes a vector changes the name."""

    @property
    def size(self) -> int:
        """X, the length of one vector."""

    def encode(self, batch: Sequence[Encodable_contra]) -> FloatArray:
        """Vectors of shape (len(batch), size), each of unit length."""


def unit(vectors_BX: FloatArray) -> FloatArray:
    """Each row at length 1: these encoders were trained to be compared by direction."""
    length_B1 = np.linalg.norm(vectors_BX, axis=1, keepdims=True)
    unit_BX: FloatArray = vectors_BX / np.maximum(length_B1, np.finfo(np.float32).tiny)
    return unit_BX
