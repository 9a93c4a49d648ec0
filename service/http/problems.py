"""Every error as RFC 9457 problem+json that names the field at fault."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service.engine.batcher import GoneError
from service.engine.link import EngineAwayError
from service.generation.registry import NotReadyError
from service.http.body import MOST_FAULTS
from service.http.schemas import FieldError, Problem

MEDIA_TYPE = "application/problem+json"
GONE = 499  # as proxies count it: the client left before the answer
_FAILED = "the service failed; its log has the reason"


def documented(problems: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Statuses and what they mean, as FastAPI's ``responses`` wants them."""
    return {
        status: {"model": Problem, "description": meaning} for status, meaning in problems.items()
    }


EVERYWHERE = documented(
    {
        400: "The request is not HTTP, or it ended early",
        404: "There is no such path",
        405: "The path does not take this method",
        408: "The request came too slowly",
        431: "The headers are too large",
        500: "The service failed",
        503: "No model is loaded, there is too much to do, or the service is on its way out",
    }
)


def problem(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem+json response."""
    return JSONResponse(_problem(status, detail, errors).model_dump(), status, headers, MEDIA_TYPE)


def as_problem(error: Exception) -> Problem:
    """What one error is answered with, as it would be alone; 500 where it was not foreseen."""
    match error:
        case HTTPException():
            return _problem(error.status_code, str(error.detail))
        case RequestValidationError():
            return _unprocessable([_fault(fault) for fault in error.errors()[:MOST_FAULTS]])
        case EngineAwayError() | NotReadyError():
            return _problem(503, str(error))
        case ClientDisconnect():
            return _problem(400, "the connection was closed before the body's end")
    return _problem(500, _FAILED)


def add_handlers(app: FastAPI) -> None:
    """Translate every error that was foreseen; the envelope has the last word on others."""

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ClientDisconnect)
    async def faulty(request: Request, error: Exception) -> JSONResponse:
        return _answered(error)

    @app.exception_handler(EngineAwayError)
    @app.exception_handler(NotReadyError)
    async def not_ready(request: Request, error: Exception) -> JSONResponse:
        return _answered(error, {"retry-after": "1"})

    @app.exception_handler(GoneError)
    async def gone(request: Request, error: GoneError) -> Response:
        return Response(status_code=GONE)  # nobody reads it; it is counted

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return _answered(error, error.headers)


def failure() -> JSONResponse:
    """500, which says nothing of the reason."""
    return problem(500, _FAILED)


def describe_problems(document: dict[str, Any]) -> None:
    """Have an OpenAPI document say that problems are problem+json, as they are."""
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if status >= "400" and (told := [*response.get("content", {}).values()]):
                    response["content"] = {MEDIA_TYPE: told[0]}


def _answered(error: Exception, headers: Mapping[str, str] | None = None) -> JSONResponse:
    found = as_problem(error)
    return JSONResponse(found.model_dump(), found.status, headers, MEDIA_TYPE)


def _unprocessable(faults: Sequence[FieldError]) -> Problem:
    return _problem(422, "; ".join(f"{f.field}: {f.message}" for f in faults), faults)


def _problem(status: int, detail: str, errors: Sequence[FieldError] = ()) -> Problem:
    title = HTTPStatus(status).phrase
    return Problem(title=title, status=status, detail=detail, errors=list(errors))


def _fault(error: Mapping[str, Any]) -> FieldError:
    """``history.3`` for ("body", "history", 3); ``body`` for the body itself."""
    place = error["loc"][1:] or error["loc"]
    name = ".".join(map(str, place))[:100]  # an unknown field's is the caller's: of any length
    return FieldError(field=name or '""', message=said(error))


def said(error: Mapping[str, Any]) -> str:
    """Without the names of classes, which nobody outside knows."""
    kind = str(error.get("type", ""))
    if kind.startswith("model_"):
        return "Input should be an object"
    return str(error["msg"]).removeprefix("Value error, ")
