"""The filter of a request: what it may hold, and how it is told."""

from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from service.catalogue.filters import Filter

MOST_ATTRIBUTES = 32  # of a filter
MOST_VALUES = 1_000  # of a filter, in all
_LONGEST = 1_024  # characters of a text or a name
_VALUE = {"type": ["string", "number", "boolean"], "maxLength": _LONGEST}
_OPERATORS = ("eq", "in", "not", "lt", "lte", "gt", "gte")


def absent() -> Any:
    """What a field is that was not given: a default that the document does not show."""
    return None


def _value(given: Any) -> Any:
    if not isinstance(given, str | bool | int | float):
        raise ValueError("should be a text, a number, true or false")
    if isinstance(given, str) and len(given) > _LONGEST:
        raise ValueError(f"should have at most {_LONGEST} characters")
    return given


def _number(given: Any) -> Any:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError("should be a number")
    return given


def _listed(given: Any) -> Any:
    return given if isinstance(given, list) else [given]


Value = Annotated[Any, PlainValidator(_value), WithJsonSchema(_VALUE)]
Number = Annotated[Any, PlainValidator(_number), WithJsonSchema({"type": "number"})]
Values = Annotated[list[Value], MaxLen(MOST_VALUES), FailFast(), BeforeValidator(_listed)]


class Condition(BaseModel):
    """What an item must have of one attribute: all that is named here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eq: Value = Field(default_factory=absent, description="this value")
    any_of: Values = Field(default_factory=absent, alias="in", description="one of these values")
    none_of: Values = Field(default_factory=absent, alias="not", description="none of these values")
    lt: Number = Field(default_factory=absent, description="a number below")
    lte: Number = Field(default_factory=absent, description="a number that is at most this")
    gt: Number = Field(default_factory=absent, description="a number above")
    gte: Number = Field(default_factory=absent, description="a number that is at least this")

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, given: Any) -> Any:
        """A value, or a list of values, stands for ``in``."""
        if not isinstance(given, dict):
            return {"in": given}
        if not given or len(given) > len(_OPERATORS):
            raise ValueError(f"should name some of {', '.join(_OPERATORS)}")
        if "eq" in given and "in" in given:
            raise ValueError("eq and in are the same: give one of them")
        return given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """As ``_spelled_out`` takes it."""
        lists = {"type": "array", "items": _VALUE, "maxItems": MOST_VALUES}
        return {"anyOf": [_VALUE, lists, handler(core_schema)]}

    def operators(self) -> dict[str, Any]:
        """As Filter.of takes them."""
        given = self.model_dump(by_alias=True, exclude_unset=True)
        return {**given, "in": [given.pop("eq")]} if "eq" in given else given


def _few(given: Any) -> Any:
    if isinstance(given, dict) and len(given) > MOST_ATTRIBUTES:
        raise ValueError(f"should name at most {MOST_ATTRIBUTES} attributes")
    return given


def values_in(given: dict[str, Condition]) -> int:
    """How many values its lists have."""
    lists = (values for each in given.values() for values in (each.any_of, each.none_of))
    return sum(len(values or ()) for values in lists)


def _few_values(given: dict[str, Condition]) -> dict[str, Condition]:
    if values_in(given) > MOST_VALUES:
        raise ValueError(f"should have at most {MOST_VALUES} values in all")
    return given


Name = Annotated[str, MaxLen(_LONGEST)]
Conditions = Annotated[
    dict[Name, Condition], BeforeValidator(_few), AfterValidator(_few_values),
    Field(json_schema_extra={"maxProperties": MOST_ATTRIBUTES}),
]  # fmt: skip


def filter_of(conditions: dict[str, Condition] | None) -> Filter | None:
    """The filter that is asked for; None where nothing is."""
    if not conditions:
        return None
    return Filter.of({name: condition.operators() for name, condition in conditions.items()})
