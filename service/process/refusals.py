"""Answers that are written before there is a request to speak of: problem+json, as raw bytes."""

from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

from service.http.problems import problem

_RETRY = {"retry-after": "1"}


class _Answer(NamedTuple):
    status: int
    kept: bytes  # the connection is kept
    closed: bytes  # it is not


class Refusal(Enum):
    """Why, by the name that metrics count it under."""

    OVERLOAD = "overload"
    CONNECTIONS = "connections"
    HEAD = "head"
    SLOW = "slow"
    MALFORMED = "malformed"


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> _Answer:
    response = problem(status, detail, headers=headers)
    lines = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
    title = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    body = bytes(response.body)
    kept = title + lines + b"\r\n" + body
    return _Answer(status, kept, title + lines + b"connection: close\r\n\r\n" + body)


ANSWERS = {
    Refusal.OVERLOAD: _answer(503, "the service is overloaded; try again", _RETRY),
    Refusal.CONNECTIONS: _answer(503, "too many connections are open; try again", _RETRY),
    Refusal.HEAD: _answer(431, "the request line and headers are too long"),
    Refusal.SLOW: _answer(408, "the request did not arrive in time"),
    Refusal.MALFORMED: _answer(400, "this is no HTTP request"),
}
