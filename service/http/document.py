"""The OpenAPI document, of bodies that FastAPI does not read."""

from typing import Any

from pydantic import BaseModel


def body_of(model: type[BaseModel], media_type: str = "application/json") -> dict[str, Any]:
    """``openapi_extra`` of an endpoint that reads bodies only of those who may send them."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def gather_definitions(document: dict[str, Any]) -> None:
    """Put what these bodies are made of where their references lead."""
    for path in document["paths"].values():
        for operation in path.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found = content["schema"].pop("$defs", {})
                document["components"]["schemas"].update(found)
