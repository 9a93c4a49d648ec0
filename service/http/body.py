"""What requests are made of."""

from itertools import islice
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    model_validator,
)

MOST_FAULTS = 20  # a request may have thousands; the answer need not


def _whole(value: Any) -> Any:
    """374 for 374.0: JSON does not tell the two apart, nor do some of its writers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


ItemId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]
UserId = ItemId
Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
ItemIds = Annotated[list[ItemId], FailFast()]  # one fault a list: each costs, and one is enough
WHOLE = BeforeValidator(_whole)  # comes last: the document does not know limits that follow it
WholeNumber = Annotated[int, Field(strict=True), WHOLE]

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Simple = bool | int | Number | Annotated[str, StringConstraints(max_length=1_000)] | None
Context = Annotated[dict[Id, Simple], Field(max_length=20)]  # a device, a country, ...


class Body(BaseModel):
    """What a request holds. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    most_json: ClassVar[int] = 10_000  # bytes outside of strings that a body may have

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, data: Any) -> Any:
        """Of very many fields only some: a fault is built of each that is not known."""
        if not isinstance(data, dict) or len(data) <= MOST_FAULTS:
            return data
        names = *islice(data, MOST_FAULTS), *cls.model_fields
        return {name: data[name] for name in names if name in data}
