"""What every encoder of content is."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

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
