"""Intake: what a writer sends of an item -> its row of a bundle's tables.

Training makes one and the bundle holds it; the service takes items in while it serves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pydantic import Field

from models.contract.config import Frozen
from models.contract.likeness import NOBODY, Alike
from models.contract.types import CodeArray, FloatArray, Modality

AttributeValue = str | int | float | bool | None | list[str]


class ContentColumns(Frozen):
    """What the item file called the parts of an item's content; a writer calls them the same."""

    title: str | None = None
    text: tuple[str, ...] = Field((), description="joined, in order; the title may be one of them")
    attributes: tuple[str, ...] = ()


class ModalityCard(Frozen):
    """What a modality's vectors are made by, and their length."""

    size: int = Field(ge=1)
    encoder: str


class IntakeCard(Frozen):
    """``intake.json``: what a bundle can take in, and how."""

    columns: ContentColumns
    modalities: dict[Modality, ModalityCard] = Field(description="of content, in order")
    tokens: bool = Field(description="text vectors are means of the token vectors in the bundle")
    pictures: bool = Field(False, description="the bundle holds what makes vectors of pictures")
    borrowing: float = Field(
        0.0,
        ge=0,
        description="share of the mean of those that it resembles; whole where nothing else tells",
    )
    neighbours: int = Field(0, ge=0, description="how many those are; 0: nothing borrows")


@dataclass(frozen=True)
class Content:
    """All that is known of an item but what users did with it.

    text: fields by the names that the item file gave them. vectors: ready ones, (E,) each, by
    modality: they are taken in place of what an encoder would make. picture: the bytes of a file.
    """

    title: str | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)
    picture: bytes | None = None


class Taken(NamedTuple):
    """A row of the tables, as training would have made it of an item without clicks.

    codes_S: (S,), not yet told apart from other items'. scored_D: (D,) and read_W: (W,), as in
    ``ItemVectors``. alike: of which rows the memory would say that they are described like it.
    """

    codes_S: CodeArray
    scored_D: FloatArray
    read_W: FloatArray
    alike: Alike = NOBODY


class IntakeError(ValueError):
    """Content that cannot be encoded. ``field`` names the part at fault, as ``vectors.scent``."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class IntakeAwayError(Exception):
    """Nothing can be encoded just now, whatever it is. The message says why."""


class Intake(Protocol):
    """Encodes content with the encoders, quantizer and vectors of one bundle."""

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        """A row each, in order; many at once cost less.

        Raises IntakeError for any at fault, IntakeAwayError where it has to be tried again.
        """
