"""The contract of POST /recommend and its neighbours, over HTTP."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.bundle import Bundle
from tests.tiny_bundle import ITEMS


def ask(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/recommend", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_a_good_request(client: TestClient, tiny: Bundle) -> None:
    answer = ask(client, history=["item-3", "item-4"], k=5)
    assert len(answer["items"]) == 5
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["model_version"] == tiny.digest
    assert (answer["fallback"], answer["unknown_items"]) == (None, [])
    assert set(answer["items"][0]) == {"item_id", "score", "title", "because"}


def test_ten_items_unless_told(client: TestClient) -> None:
    assert len(ask(client, history=["item-3"])["items"]) == 10


def test_unknown_items_are_skipped_and_named_once(client: TestClient) -> None:
    mixed = ask(client, history=["nope", "item-3", "no", "nope", "item-4"])
    assert mixed["unknown_items"] == ["nope", "no"]
    assert mixed["items"] == ask(client, history=["item-3", "item-4"])["items"]


@pytest.mark.parametrize("history", [[], ["nope", "never"]])
def test_nothing_known_gets_popular_items_and_says_so(
    client: TestClient, history: list[str]
) -> None:
    answer = ask(client, history=history, k=3, exclude=["item-58"])
    assert ids(answer) == ["item-59", "item-57", "item-56"]
    assert answer["fallback"] == "popular"
    assert answer["unknown_items"] == history


def test_history_and_excluded_items_never_come_back(client: TestClient) -> None:
    history = ["item-1", "item-2", "item-3"]
    best = ids(ask(client, history=history, k=4))
    without = ids(ask(client, history=history, k=4, exclude=best[:2]))
    assert not set(without) & {*history, *best[:2]}
    assert without[:2] == best[2:]


def test_include_history_lifts_only_the_history_filter(client: TestClient) -> None:
    history = ["item-1", "item-2"]
    everything = ids(ask(client, history=history, k=ITEMS, include_history=True))
    assert set(history) < set(everything)
    assert len(everything) == ITEMS
    fewer = ids(ask(client, history=history, k=ITEMS, include_history=True, exclude=["item-1"]))
    assert set(everything) - set(fewer) == {"item-1"}


def test_all_that_exist_are_returned_when_k_is_more(client: TestClient) -> None:
    assert len(ask(client, history=["item-1"], k=500)["items"]) == ITEMS - 1


def test_explain_names_an_item_of_the_history(client: TestClient) -> None:
    answer = ask(client, history=["item-1", "nope", "item-2"], explain=True)
    assert {item["because"] for item in answer["items"]} <= {"item-1", "item-2"}
    assert all(item["because"] is None for item in ask(client, history=["item-1"])["items"])


def test_only_the_latest_items_of_a_long_history_count(client: TestClient) -> None:
    old = [f"item-{n}" for n in range(20, 50)]
    new = [f"item-{n}" for n in range(12)]
    long = ask(client, history=old + new, k=5, exclude=old)
    assert long["items"] == ask(client, history=new, k=5, exclude=old)["items"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "history"),
        ({"history": "item-1"}, "history"),
        ({"history": [1]}, "history.0"),
        ({"history": ["ok", ""]}, "history.1"),
        ({"history": ["x" * 257]}, "history.0"),
        ({"history": [None]}, "history.0"),
        ({"history": [], "k": 0}, "k"),
        ({"history": [], "k": "3"}, "k"),
        ({"history": [], "k": 501}, "k"),
        ({"history": [], "exclude": "item-1"}, "exclude"),
        ({"history": [], "limit": 3}, "limit"),
        ({"history": ["a"] * 10_001}, "history"),
        ([], "body"),
    ],
)
def test_a_bad_field_is_named_in_problem_json(client: TestClient, body: Any, field: str) -> None:
    response = client.post("/recommend", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 422
    assert problem["errors"][0]["field"] == field
    assert field in problem["detail"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"history": [}', b"null"])
def test_a_malformed_body_is_a_clear_422(client: TestClient, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/recommend", content=content, headers=headers)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_over_the_limit_is_refused_declared_or_not(client: TestClient) -> None:
    declared = client.post("/recommend", content=b" " * 100_001)
    streamed = client.post("/recommend", content=iter([b" " * 60_000] * 3))
    for response in (declared, streamed):
        assert response.status_code == 413
        assert "100000 bytes" in response.json()["detail"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    history=st.lists(st.sampled_from([f"item-{n}" for n in range(70)]), max_size=30),
    exclude=st.lists(st.sampled_from([f"item-{n}" for n in range(70)]), max_size=30),
    k=st.integers(1, 80),
    include_history=st.booleans(),
)
def test_always_k_items_when_k_exist_and_never_a_hidden_one(
    client: TestClient, history: list[str], exclude: list[str], k: int, include_history: bool
) -> None:
    answer = ask(client, history=history, exclude=exclude, k=k, include_history=include_history)
    catalogue = {f"item-{n}" for n in range(ITEMS)}
    allowed = catalogue - set(exclude) - (set() if include_history else set(history))
    found = ids(answer)
    assert len(found) == len(set(found)) == min(k, len(allowed))
    assert set(found) <= allowed


def test_request_id_is_echoed_or_made(client: TestClient) -> None:
    given_id = client.get("/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"]
    made = client.get("/livez", headers={"x-request-id": "bad id\t"}).headers["x-request-id"]
    assert given_id == "abc-1"
    assert len(made) == 32


def test_health_model_and_docs(client: TestClient, tiny: Bundle) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    model = client.get("/model").json()
    assert (model["name"], model["model_version"]) == ("tiny", tiny.digest)
    assert (model["provider"], model["code_cache"]) == ("onnx-cpu", "process")
    assert client.get("/docs").status_code == 200
    example = client.get("/openapi.json").json()["components"]["schemas"]["RecommendRequest"]
    assert example["examples"][0]["history"]


def test_metrics_count_and_carry_no_item_or_path(client: TestClient) -> None:
    ask(client, history=["item-3", "secret-item"])
    client.get("/secret-path")
    text = client.get("/metrics").text
    for name in ("request", "queue", "encode", "search", "cache"):
        assert f"bbqrec_{name}_seconds_bucket{{" in text or f"bbqrec_{name}_seconds_bucket" in text
        assert 'le="0.0005"' in text
    assert 'bbqrec_requests_total{route="other",status="404"}' in text
    assert 'bbqrec_provider_info{provider="onnx-cpu"} 1.0' in text
    assert "secret" not in text


def test_an_unknown_path_is_problem_json(client: TestClient) -> None:
    response = client.get("/nope")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
