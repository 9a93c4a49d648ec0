"""The way around FastAPI gives what FastAPI gives, and hands on what it does not take."""

import asyncio
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from models.contract.bundle import Bundle
from service.http.app import Service, create_app
from service.settings import Settings
from tests.service.fakes import FakeScorer, loader

GOOD = {"history": ["item-3", "no", "item-4"], "k": 3, "exclude": ["item-9"]}
LONG_WAY = {"content-type": "application/json; charset=utf-8"}
HANDED_ON = 418


async def framework(scope: Scope, receive: Receive, send: Send) -> None:
    """In FastAPI's place: reads the body to its end and says how long it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message.get("more_body", False)
    await send({"type": "http.response.start", "status": HANDED_ON, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
def app(tiny: Bundle) -> Service:
    return create_app(Settings(bundle=tiny.directory), loader(tiny, FakeScorer()))


@pytest.mark.parametrize("body", [GOOD, GOOD | {"explain": True}, {"history": []}])
def test_both_ways_give_the_same(client: TestClient, body: dict[str, Any]) -> None:
    fast = client.post("/recommend", json=body)
    slow = client.post("/recommend", content=json.dumps(body), headers=LONG_WAY)
    assert fast.status_code == slow.status_code == 200
    assert fast.json() == slow.json()
    assert list(fast.json()) == list(slow.json())
    assert fast.headers["content-type"] == slow.headers["content-type"]


def test_a_good_request_does_not_reach_the_framework(app: Service) -> None:
    with TestClient(app) as client:
        app.fast_path.app = framework
        assert client.post("/recommend", json=GOOD).status_code == 200


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"history": ["item-3"], "k": 0}', b'{"history": [1]}', b'{"hist": []}',
     b'{"history": [], "k": 501}', b""],
)  # fmt: skip
def test_a_body_at_fault_is_handed_on_whole(app: Service, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    with TestClient(app) as client:
        app.fast_path.app = framework
        answer = client.post("/recommend", content=content, headers=headers)
    assert (answer.status_code, answer.text) == (HANDED_ON, str(len(content)))


def test_a_body_in_pieces_is_handed_on_whole(app: Service) -> None:
    """At the level of ASGI: a test client puts the pieces together."""
    pieces = [b'{"history":', b" []}"]
    sent: list[Message] = []

    async def receive() -> Message:
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/recommend", "headers": headers}
    with TestClient(app):
        app.fast_path.app = framework
        asyncio.run(app.fast_path(scope, receive, send))
    assert [sent[0]["status"], sent[1]["body"]] == [HANDED_ON, b"15"]


def test_other_paths_and_methods_are_handed_on(app: Service) -> None:
    with TestClient(app) as client:
        app.fast_path.app = framework
        assert client.get("/recommend").status_code == HANDED_ON
        assert client.post("/model", json=GOOD).status_code == HANDED_ON
