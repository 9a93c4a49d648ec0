"""Items put, patched, deleted and looked at over HTTP, with an intake of ours."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.testclient import TestClient

from models.contract.bundle import Bundle
from service.catalogue.change_log import CHANGE_LOG
from service.http.app import create_app
from service.log.file_log import FileLog
from service.settings import Settings
from tests.service.catalogue.changes import put as a_put
from tests.service.fakes import FakeScorer, loader
from tests.tiny_bundle import attributes_of

Response = Any  # of whichever client the framework's has
KEY = {"authorization": "Bearer a-key"}
PROBLEM = "application/problem+json"


def settings(tiny: Bundle, live: Path, **given: Any) -> Settings:
    return Settings(**{"bundle": tiny.directory, "live": live, "items_key": "a-key", **given})


@pytest.fixture
def shop(tiny: Bundle, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(settings(tiny, tmp_path, max_item_bytes=2000), loader(tiny, FakeScorer()))
    with TestClient(app, headers=KEY) as client:
        yield client


def put(client: TestClient, item_id: str = "new", like: str = "item-3", **more: Any) -> Response:
    body = {"title": f"Like {like}", "text": {"like": like}, **more}
    return client.put(f"/items/{item_id}", json=body)


def lines(response: Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def assert_problem(response: Response, status: int, *words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    assert all(word in response.json()["detail"] for word in words), response.text


def test_a_put_is_answered_once_it_is_applied(shop: TestClient, tiny: Bundle) -> None:
    answer = put(shop, attributes={"price": 9.5, "tags": ["a", "b"]})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["item_id"], told["position"], told["version"]) == ("new", 1, 1)
    assert told["semantic_id"][:-1] == tiny.semantic_ids.codes_NS[3].tolist()
    assert told["nearest"][0]["item_id"] == "item-3"
    assert told["nearest"][0]["score"] == pytest.approx(1, abs=2e-3)
    state = shop.get("/items/new").json()
    assert (state["source"], state["title"]) == ("live", "Like item-3")
    assert state["attributes"] == {"price": 9.5, "tags": ["a", "b"]}
    assert state["by_content"][0]["item_id"] == "item-3"
    assert shop.get("/model").json()["live"] == {
        "items": 1, "gone": 0, "refused": 0, "position": 1
    }  # fmt: skip


def test_an_item_of_the_bundle_is_looked_at_patched_replaced_and_deleted(shop: TestClient) -> None:
    state = shop.get("/items/item-9").json()
    assert (state["source"], state["version"], state["position"]) == ("bundle", 0, None)
    assert shop.patch("/items/item-9", json={"attributes": {"price": 3}}).json()["position"] == 1
    assert shop.get("/items/item-9").json()["attributes"] == {**attributes_of(9), "price": 3}
    put(shop, "item-9", "item-4")
    assert shop.get("/items/item-9").json()["source"] == "live"
    answer = shop.delete("/items/item-9").json()
    assert (answer["version"], answer["semantic_id"], answer["nearest"]) == (None, None, [])
    for method in ("GET", "DELETE"):
        assert_problem(shop.request(method, "/items/item-9"), 404, "no item 'item-9'")
    assert_problem(shop.patch("/items/item-9", json={"attributes": {"price": 3}}), 404)


def test_deleted_items_are_like_nothing(shop: TestClient) -> None:
    put(shop, "new", "item-3")
    for by in ("behaviour", "content"):
        answer = shop.get(f"/similar/item-3?by={by}&k=2").json()
        assert answer["items"][0]["item_id"] == "new"
        assert "item-3" not in [near["item_id"] for near in answer["items"]]
    shop.delete("/items/new")
    assert shop.get("/similar/item-3?k=2").json()["items"][0]["item_id"] != "new"
    assert len(shop.get("/similar/item-3?k=100").json()["items"]) == 59
    assert_problem(shop.get("/similar/new"), 404)
    assert_problem(shop.get("/similar/item-3?by=colour"), 422, "by")


def test_ids_may_hold_anything_that_a_path_can(shop: TestClient) -> None:
    for item_id in ("a/b", "ä ö", "50%"):
        quoted = "".join(f"%{byte:02x}" for byte in item_id.encode())
        assert put(shop, quoted).json()["item_id"] == item_id
        assert shop.get(f"/items/{quoted}").json()["item_id"] == item_id
    assert_problem(put(shop, "x" * 300), 422, "item_id")


def test_the_later_version_wins(shop: TestClient) -> None:
    assert put(shop, version=7).json()["version"] == 7
    assert_problem(put(shop, version=7), 409, "not later than 7")
    assert_problem(shop.delete("/items/new?version=6"), 409)
    assert put(shop).json()["version"] == 8
    assert shop.delete("/items/new?version=9").status_code == 200
    assert_problem(put(shop, version=9), 409)


def test_of_two_writers_with_the_same_version_one_is_stale(shop: TestClient) -> None:
    """Both may find the item as it was before either."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(put(shop, version=5).status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, *[409] * 7]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": {"like": "nothing"}}, "text.like"),
        ({"text": {"like": 3}}, "text.like"),
        ({"vectors": {"scent": ["x"]}}, "vectors.scent"),
        ({"vectors": {"scent": [1e39]}}, "vectors.scent"),
        ({"vectors": {"A name": [1]}}, "vectors"),
        ({"attributes": {"price": {"lt": 3}}}, "attributes.price"),
        ({"picture": "no base64!"}, "picture"),
        ({"version": 0}, "version"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_fault_names_its_field_and_nothing_is_written(
    shop: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = shop.put("/items/new", json=body)
    assert_problem(answer, 422, field)
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert_problem(shop.get("/items/new"), 404)
    assert put(shop).json()["position"] == 1


def test_an_item_that_is_too_large_is_refused(shop: TestClient) -> None:
    assert_problem(put(shop, picture="A" * 4000), 413, "2000 bytes")


def test_only_whoever_has_the_key_writes(shop: TestClient) -> None:
    for wrong in ("", "Bearer", "Bearer another"):
        for method, path in (
            ("PUT", "/items/new"), ("PUT", "/items"), ("PATCH", "/items/a"), ("DELETE", "/items/a")
        ):  # fmt: skip
            answer = shop.request(method, path, content=b"{", headers={"authorization": wrong})
            assert_problem(answer, 401, "Bearer KEY")
    assert shop.get("/items/item-3", headers={"authorization": ""}).status_code == 200


@pytest.mark.parametrize(
    ("peer", "header", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.1", {}, 403),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 403),
        ("127.0.0.1", {"forwarded": "for=10.0.0.1"}, 403),
        ("127.0.0.1", {"host": "shop.localhost:8000"}, 200),
        ("127.0.0.1", {"host": "0.0.0.0:8000"}, 200),
        ("::1", {"host": "[::1]:8000"}, 200),
        ("127.0.0.1", {"host": "evil.example:8000"}, 403),  # a name that leads here
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}, 403),
    ],
)
def test_without_a_key_only_this_machine_writes_and_no_proxy(
    tiny: Bundle, tmp_path: Path, peer: str, header: dict[str, str], status: int
) -> None:
    app = create_app(settings(tiny, tmp_path, items_key=None), loader(tiny, FakeScorer()))
    with TestClient(app, client=(peer, 1), headers=header) as client:
        assert put(client).status_code == status


def test_an_id_is_all_of_the_path_that_is_left(shop: TestClient) -> None:
    """A line's end is of an id as anything else: else another item was meant."""
    put(shop)
    for item_id in ("new%0A", "a/b%0Ac", "%0A"):
        put(shop, item_id)
        told = shop.get(f"/items/{item_id}").json()
        assert told["item_id"] == unquote(item_id)
        assert shop.delete(f"/items/{item_id}").json()["item_id"] == unquote(item_id)
        assert shop.get(f"/items/{item_id}").status_code == 404
    assert shop.get("/items/new").status_code == 200


def test_many_items_are_answered_line_by_line(shop: TestClient) -> None:
    texts = [
        json.dumps({"item_id": "a", "text": {"like": "item-1"}}),
        "{",
        "",
        json.dumps({"item_id": "b", "text": {"like": "nothing"}}),
        json.dumps({"text": {"like": "item-1"}}),
        json.dumps({"item_id": "c", "text": {"like": "item-2"}, "version": 3}),
        json.dumps({"item_id": "c", "text": {"like": "item-2"}, "version": 3}),
        json.dumps({"item_id": "long", "title": "x" * 3000}),
        json.dumps({"item_id": "d", "text": {"like": "item-1"}}),
    ]
    answer = shop.put("/items", content="\n".join(texts))
    assert answer.headers["content-type"] == "application/x-ndjson"
    found = lines(answer)
    statuses = {told["line"]: told["status"] for told in found}
    assert statuses == {1: 200, 2: 422, 4: 422, 5: 422, 6: 200, 7: 409, 8: 413, 9: 200}
    assert "text.like" in next(told for told in found if told["line"] == 4)["detail"]
    assert "item_id" in next(told for told in found if told["line"] == 5)["detail"]
    assert [shop.get(f"/items/{i}").status_code for i in "abcd"] == [200, 404, 200, 200]


def test_many_items_are_written_a_batch_at_a_time(shop: TestClient) -> None:
    """However the body is cut."""
    text = "".join(
        json.dumps({"item_id": f"new-{n}", "text": {"like": "item-1"}}) + "\n" for n in range(700)
    ).encode()

    def pieces() -> Iterator[bytes]:
        for first in range(0, len(text), 1000):
            yield text[first : first + 1000]

    found = lines(shop.put("/items", content=pieces()))
    assert [told["line"] for told in found] == list(range(1, 701))
    assert {told["status"] for told in found} == {200}
    assert [told["position"] for told in found] == list(range(1, 701))
    assert shop.get("/model").json()["live"]["items"] == 700


def test_more_lines_than_are_taken_at_once_are_said(tiny: Bundle, tmp_path: Path) -> None:
    app = create_app(settings(tiny, tmp_path, max_items=3), loader(tiny, FakeScorer()))
    line = json.dumps({"item_id": "a", "text": {"like": "item-1"}})
    with TestClient(app, headers=KEY) as client:
        found = lines(client.put("/items", content="\n".join([line] * 5)))
    assert [told["status"] for told in found] == [200, 200, 200, 413, 413]


def test_a_read_waits_for_the_change_that_it_asks_for(shop: TestClient, tmp_path: Path) -> None:
    """Another process writes it."""
    (position,) = FileLog(tmp_path, CHANGE_LOG).append([a_put("elsewhere")])
    after = {"x-after": str(position)}
    body = {"history": ["item-3"]}
    assert shop.post("/recommend", json=body, headers=after).status_code == 200
    assert shop.get("/model").json()["live"]["position"] == position
    (position,) = FileLog(tmp_path, CHANGE_LOG).append([a_put("elsewhere")])
    assert shop.get("/items/item-3", headers={"x-after": str(position)}).status_code == 200
    assert_problem(shop.get("/items/item-3", headers={"x-after": "soon"}), 422, "x-after")


def test_a_read_that_waits_in_vain_is_told_to_come_back(tiny: Bundle, tmp_path: Path) -> None:
    app = create_app(settings(tiny, tmp_path, max_after=0.05), loader(tiny, FakeScorer()))
    with TestClient(app) as client:
        after = {"x-after": "5"}
        for answer in (
            client.post("/recommend", json={"history": ["item-3"]}, headers=after),
            client.get("/items/item-3", headers=after),
            client.get("/similar/item-3", headers=after),
        ):
            assert_problem(answer, 503, "change 5 is not applied here yet")
            assert answer.headers["retry-after"] == "1"


def test_what_was_written_is_there_after_a_restart(tiny: Bundle, tmp_path: Path) -> None:
    for title in ("first", "second"):
        app = create_app(settings(tiny, tmp_path), loader(tiny, FakeScorer()))
        with TestClient(app, headers=KEY) as client:
            if title == "second":
                assert client.get("/items/new").json()["title"] == "first"
            put(client, title=title)


def test_a_log_that_cannot_be_written_is_a_clear_503_and_reads_go_on(
    tiny: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    app = create_app(settings(tiny, tmp_path / "file" / "log"), loader(tiny, FakeScorer()))
    with TestClient(app, headers=KEY) as client:
        answer = put(client)
        assert_problem(answer, 503, "the log in")
        assert answer.headers["retry-after"]
        (told,) = lines(
            client.put("/items", content='{"item_id": "a", "text": {"like": "item-1"}}')
        )
        assert told["status"] == 503
        assert client.post("/recommend", json={"history": ["item-3"]}).status_code == 200


def test_the_document_tells_what_may_be_sent(shop: TestClient) -> None:
    paths = shop.get("/openapi.json").json()["paths"]
    assert set(paths["/items/{item_id}"]) == {"put", "patch", "delete", "get"}
    body = paths["/items/{item_id}"]["put"]["requestBody"]["content"]["application/json"]
    assert "vectors" in body["schema"]["properties"]
    lines = paths["/items"]["put"]
    for told in (lines["requestBody"], lines["responses"]["200"]):
        assert [*told["content"]] == ["application/x-ndjson"]
    assert PROBLEM in paths["/items/{item_id}"]["put"]["responses"]["409"]["content"]
    assert [*lines["responses"]["403"]["content"]] == [PROBLEM]


def test_metrics_tell_of_live_items(shop: TestClient) -> None:
    put(shop)
    put(shop, "item-9")
    shop.delete("/items/item-8")
    text = shop.get("/metrics").text
    assert 'bbqrec_live_changes_total{kind="put",outcome="applied"} 2.0' in text
    assert 'bbqrec_live_changes_total{kind="delete",outcome="applied"} 1.0' in text
    assert "bbqrec_log_lag_seconds" in text
