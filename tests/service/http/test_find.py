"""Items found by their titles, and by their ids, over HTTP."""

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.catalogue.titles import Titles
from service.settings import Settings

PROBLEM = "application/problem+json"
SOON = Settings(bundle=Path(), deadline=0.02)


def ids(client: TestClient, **asked: object) -> list[str]:
    answer = client.get("/items", params=asked)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def test_a_search_tells_what_a_list_needs(client: TestClient) -> None:
    answer = client.get("/items", params={"query": "title 59"}).json()
    (item,) = answer["items"]
    assert (item["item_id"], item["title"]) == ("item-59", "Title 59")
    assert item["semantic_id"] == client.get("/items/item-59").json()["semantic_id"]
    assert item["attributes"]["price"] == 59
    assert answer["model_version"] == client.get("/model").json()["model_version"]


def test_without_words_the_most_used_come(client: TestClient) -> None:
    assert ids(client, limit=3) == ["item-59", "item-58", "item-57"]


def test_items_are_named_by_their_ids_and_unknown_ones_left_out(client: TestClient) -> None:
    assert ids(client, item_id=["item-3", "nope", "item-1"]) == ["item-3", "item-1"]


def test_a_search_that_is_too_slow_is_a_504(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(titles: Titles, query: str, limit: int) -> list[int]:
        time.sleep(0.2)
        return []

    monkeypatch.setattr(Titles, "find", slow)
    monkeypatch.setattr(client.app.state.service, "settings", SOON)  # type: ignore[attr-defined]
    answer = client.get("/items?query=title")
    assert (answer.status_code, answer.headers["retry-after"]) == (504, "1")
    assert answer.headers["content-type"] == PROBLEM


def test_limits_hold(client: TestClient) -> None:
    for asked in ({"limit": 0}, {"limit": 101}, {"query": "x" * 201}, {"item_id": ["i"] * 101}):
        answer = client.get("/items", params=asked)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == PROBLEM
