"""HTTP shapes of items: what writers send, and what is known of one."""

import base64
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    FailFast,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from models.contract.intake import Content
from models.contract.types import Modality
from service.http.body import WHOLE, Body, ItemId, Number


def _decoded(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
Word = Annotated[str, StringConstraints(strict=True, max_length=1_000)]
Text = Annotated[str, StringConstraints(strict=True, max_length=100_000)]
Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
Words = Annotated[list[Word], Field(max_length=1_000)]
Value = Annotated[bool, Field(strict=True)] | Whole | Number | Word | Words | None
Attributes = Annotated[dict[Name, Value], Field(max_length=100)]
Vector = Annotated[
    list[Annotated[float, Field(ge=-1e30, le=1e30)]],
    FailFast(),
    Field(min_length=1, max_length=8_192),
]
Picture = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Version = Annotated[int, Field(strict=True, ge=1, le=2**62), WHOLE]


class PutItem(Body):
    """An item, whole: what it was before is gone. Unknown fields are refused."""

    most_json: ClassVar[int] = 1_000_000  # vectors are long

    title: Word | None = Field(None, description="shown in answers")
    text: dict[Name, Text] = Field(
        default_factory=dict, max_length=50, description="text by field, as in the item file"
    )
    attributes: Attributes = Field(default_factory=dict, description="price, stock, category...")
    vectors: dict[Modality, Vector] = Field(
        default_factory=dict, max_length=16, description="ready vectors by modality"
    )
    picture: Picture | None = Field(None, description="the bytes of a picture file, in base64")
    version: Version | None = Field(
        None, description="a number or a time that grows; an earlier one than there is gets 409"
    )

    def content(self) -> Content:
        """As an intake takes it."""
        vectors = {name: np.array(v, np.float32) for name, v in self.vectors.items()}
        return Content(self.title, self.text, self.attributes, vectors, self.picture)


class PutLine(PutItem):
    """A line of PUT /items."""

    item_id: ItemId


class PatchItem(Body):
    """Attributes to change, and null for those to remove. Others stay."""

    attributes: Attributes = Field(min_length=1)
    version: Version | None = Field(None, description="as in PUT")


class NearItem(BaseModel):
    """An item that is like another."""

    item_id: str
    title: str | None
    score: float = Field(description="1 is the same")


class ItemWritten(BaseModel):
    """A change that is kept and applied."""

    item_id: str
    position: int = Field(description="in the log: send it as X-After to read it elsewhere")
    version: int | None = Field(description="null: the item is deleted")
    semantic_id: list[int] | None = Field(description="its codes, and the one that tells it apart")
    nearest: list[NearItem] = Field(description="known items that are most like it")


class LineResult(BaseModel):
    """What came of a line of PUT /items."""

    line: int
    item_id: str | None = None
    status: int = Field(description="200, or what a PUT of the item alone would get")
    position: int | None = None
    version: int | None = None
    semantic_id: list[int] | None = None
    detail: str | None = None


class ItemState(BaseModel):
    """What is known of an item."""

    item_id: str
    title: str | None
    source: Literal["live", "bundle"] = Field(description="live: put while the service ran")
    semantic_id: list[int]
    attributes: dict[str, Any]
    version: int = Field(description="of its last change; 0: none since the bundle was made")
    position: int | None = Field(description="of its last change in the log")
    by_behaviour: list[NearItem]
    by_content: list[NearItem]


class FoundItem(BaseModel):
    """An item that was looked for."""

    item_id: str
    title: str | None
    semantic_id: list[int]
    attributes: dict[str, Any]
    picture: str | None = Field(description="where the page finds it; null: it shows none")


class FoundItems(BaseModel):
    """Items that were looked for."""

    items: list[FoundItem]
    model_version: str = Field(description="digest of the bundle that answered")


class SimilarItems(BaseModel):
    """Items like one, most like it first."""

    items: list[NearItem]
    model_version: str = Field(description="digest of the bundle that answered")
