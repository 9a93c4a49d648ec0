"""The one path of bodies: any POST route may take it, and the document describes it."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.types import Message, Scope

from models.contract.bundle import Bundle
from service.http.app import create_app
from service.http.body import Body
from service.http.json_route import JsonRoute
from service.http.problems import add_handlers
from service.http.recommend_schemas import RecommendResponse
from service.http.routes import CurrentCaller, CurrentState
from service.settings import Settings
from tests.service.fakes import FakeScorer, loader

GOOD = {"history": ["item-3", "no", "item-4"], "k": 3, "exclude": ["item-9"]}


@pytest.mark.parametrize(
    "given",
    ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y",
     "application/vnd.shop+json"],
)  # fmt: skip
def test_what_is_called_json_is_taken(client: TestClient, given: str) -> None:
    content = json.dumps(GOOD).encode()
    answer = client.post("/recommend", content=content, headers={"content-type": given})
    assert answer.json()["items"] == client.post("/recommend", json=GOOD).json()["items"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("given", ["text/plain", "application/jsonp", "json", "", "text/x+json"])
def test_what_is_not_called_json_is_told_how(client: TestClient, given: str) -> None:
    content = json.dumps(GOOD).encode()
    answer = client.post("/recommend", content=content, headers={"content-type": given})
    assert answer.status_code == 422
    assert "content-type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize("body", [GOOD, GOOD | {"explain": True}, {"history": []}])
def test_an_answer_is_what_the_document_says(client: TestClient, body: dict[str, Any]) -> None:
    """It is not validated while serving, so it is here."""
    answer = client.post("/recommend", json=body)
    read = RecommendResponse.model_validate_json(answer.content, extra="forbid")
    assert read.model_dump(exclude_unset=True) == answer.json()
    assert list(answer.json()) == list(RecommendResponse.model_fields)


def exchange(
    tiny: Bundle, *messages: Message, method: str = "POST", path: str = "/recommend"
) -> tuple[int, bytes]:
    """A request at the level of ASGI, where a body may come in pieces and break off."""
    app = create_app(Settings(bundle=tiny.directory, impressions=0), loader(tiny, FakeScorer()))
    waiting, sent = list(messages), []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    told: Scope = {"query_string": b"", "client": ("127.0.0.1", 50), "headers": headers}
    scope = {"type": "http", "method": method, "path": path, **told}
    with TestClient(app):
        asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_pieces_is_read_whole(tiny: Bundle) -> None:
    status, _ = exchange(tiny, piece(b'{"history":'), piece(b" []"), piece(b"}", more=False))
    assert status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/recommend"), ("POST", "/events"), ("POST", "/users/ada/merge"),
     ("PUT", "/items/new"), ("PATCH", "/items/item-1")],
)  # fmt: skip
def test_a_body_that_breaks_off_is_no_failure_of_ours(
    tiny: Bundle, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    pieces = piece(b'{"history":'), {"type": "http.disconnect"}
    status, body = exchange(tiny, *pieces, method=method, path=path)
    assert (status, json.loads(body)["status"]) == (400, 400)
    assert "failed" not in caplog.text


class Pair(Body):
    left: int
    right: int


class Pairs(Body):
    pairs: list[Pair]


class Sums(BaseModel):
    sums: list[int]


@pytest.fixture
def other(tiny: Bundle) -> TestClient:
    """An application of another route of the same kind."""
    app = FastAPI()
    app.state.service = create_app(Settings(bundle=tiny.directory, max_k=100)).state.service
    add_handlers(app)

    async def add(body: Pairs, state: CurrentState, caller: CurrentCaller) -> dict[str, Any]:
        """Sums."""
        return {"sums": [min(p.left + p.right, state.settings.max_k) for p in body.pairs]}

    app.router.add_api_route(
        "/add", add, methods=["POST"], route_class_override=JsonRoute, response_model=Sums
    )
    return TestClient(app)


def test_any_route_may_be_of_the_kind(other: TestClient) -> None:
    pairs = [{"left": 1, "right": 2}, {"left": 99, "right": 99}]
    assert other.post("/add", json={"pairs": pairs}).json() == {"sums": [3, 100]}
    refused = other.post("/add", json={"pairs": [{"left": 1}]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "pairs.0.right")
    assert other.get("/add").status_code == 405


def test_the_document_describes_any_route_of_the_kind(other: TestClient) -> None:
    operation = other.get("/openapi.json").json()["paths"]["/add"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert (body["$ref"].split("/")[-1], answer["$ref"].split("/")[-1]) == ("Pairs", "Sums")
    assert operation["description"] == "Sums."
    headers = ["x-sticky-key", "x-after", "x-generation"]
    assert [each["name"] for each in operation["parameters"]] == headers
