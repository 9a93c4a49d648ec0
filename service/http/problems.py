"""Every error as RFC 9457 problem+json that names the field at fault."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.generation.registry import NotReadyError
from service.http.schemas import FieldError, LimitError, Problem

MEDIA_TYPE = "application/problem+json"
_MOST_FAULTS = 20  # a request may have thousands; the answer need not
_NOT_JSON = "send a JSON object, with the header content-type: application/json"


def problem(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem+json response."""
    title = HTTPStatus(status).phrase
    body = Problem(title=title, status=status, detail=detail, errors=list(errors))
    return JSONResponse(body.model_dump(), status, headers, MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Translate every error; those that nobody foresaw are raised again, for the log."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        is_json = "json" in request.headers.get("content-type", "")
        return unprocessable([_fault(e, is_json) for e in error.errors()[:_MOST_FAULTS]])

    @app.exception_handler(LimitError)
    async def over_limit(request: Request, error: LimitError) -> JSONResponse:
        return unprocessable([error.fault])

    @app.exception_handler(NotReadyError)
    async def not_ready(request: Request, error: NotReadyError) -> JSONResponse:
        return problem(503, str(error), headers={"retry-after": "1"})

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI's word for a body that it could not even parse
            return unprocessable([FieldError(field="body", message="is not valid JSON")])
        return answer_http(error)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return failure()


def answer_http(error: HTTPException) -> JSONResponse:
    """What was raised with a status of its own."""
    return problem(error.status_code, str(error.detail), headers=error.headers)


def failure() -> JSONResponse:
    """500, which says nothing of the reason."""
    return problem(500, "the service failed; its log has the reason")


def describe_problems(app: FastAPI) -> None:
    """Have the OpenAPI document say that problems are problem+json, as they are."""
    document = app.openapi()
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if status >= "400" and "application/json" in response.get("content", {}):
                    response["content"] = {MEDIA_TYPE: response["content"].pop("application/json")}


def unprocessable(faults: Sequence[FieldError]) -> JSONResponse:
    """422, each fault with its field."""
    return problem(422, "; ".join(f"{f.field}: {f.message}" for f in faults), faults)


def _fault(error: Mapping[str, Any], is_json: bool) -> FieldError:
    """``history.3`` for ("body", "history", 3); ``body`` for the body itself."""
    inner = error["loc"][1:]
    if error["type"] == "json_invalid":
        place = f"is not valid JSON at character {inner[0]}: {error['ctx']['error']}"
        return FieldError(field="body", message=place)
    if not inner:
        return FieldError(field="body", message=error["msg"] if is_json else _NOT_JSON)
    # An unknown field's name is the caller's: of any length, and not always encodable.
    name = ".".join(map(str, inner))[:100].encode("utf-8", "replace").decode()
    return FieldError(field=name or '""', message=error["msg"])
