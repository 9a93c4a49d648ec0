"""What an encoder reads of a catalogue: a key an item, and the content itself when it is needed."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

Loaded_co = TypeVar("Loaded_co", covariant=True)


class Reject(NamedTuple):
    """A content that could not be used, and why."""

    item_id: str
    source: str
    reason: str


class Contents(Protocol[Loaded_co]):
    """One modality of a catalogue. ``keys[i]`` is None where item i has nothing."""

    @property
    def keys(self) -> Sequence[bytes | None]:
        """One key an item, in item_index order."""

    def load(self, rows: Sequence[int]) -> Sequence[Loaded_co | None]:
        """What to encode for these rows; None where it turns out to be unusable."""

    def rejects(self) -> Iterator[Reject]:
        """Everything found unusable so far."""
