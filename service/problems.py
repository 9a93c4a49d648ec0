"""Every error as RFC 9457 problem+json that names the field at fault."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.schemas import FieldError, Problem

log = logging.getLogger("bbqrec")


class LimitError(Exception):
    """A well-formed request that asks for more than is allowed."""

    def __init__(self, fault: FieldError) -> None:
        super().__init__(fault.message)
        self.fault = fault


def problem(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem+json response."""
    title = HTTPStatus(status).phrase
    body = Problem(title=title, status=status, detail=detail, errors=list(errors))
    return JSONResponse(body.model_dump(), status, headers, "application/problem+json")


def add_handlers(app: FastAPI) -> None:
    """Translate every exception."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            FieldError(field=_field(fault["loc"]), message=fault["msg"]) for fault in error.errors()
        ]
        return problem(422, "; ".join(f"{f.field}: {f.message}" for f in faults), faults)

    @app.exception_handler(LimitError)
    async def over_limit(request: Request, error: LimitError) -> JSONResponse:
        return problem(422, f"{error.fault.field}: {error.fault.message}", [error.fault])

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "the service failed; its log has the reason")


def _field(location: tuple[int | str, ...]) -> str:
    """``history.3`` for ("body", "history", 3); ``body`` for the body itself."""
    if location[:1] != ("body",):
        return ".".join(map(str, location))
    inner = [str(part) for part in location[1:] if not isinstance(part, int) or len(location) > 2]
    return ".".join(inner) or "body"
