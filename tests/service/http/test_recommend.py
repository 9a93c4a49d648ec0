"""The contract of POST /recommend and its neighbours, over HTTP."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given
from hypothesis import settings as drawing
from hypothesis import strategies as st

from models.contract import bundle as bundles
from models.contract.bundle import Bundle
from service.catalogue.live_items import LiveItems
from service.catalogue.taking import NoIntake
from service.engine.choose import make_engine
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.http.app import create_app
from service.http.recommend_schemas import RecommendResponse
from service.metrics import Metrics
from service.settings import Settings
from tests.conftest import TinyBundles
from tests.tiny_bundle import ITEMS

AS_JSON = {"content-type": "application/json"}


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
    assert set(answer["items"][0]) == {"item_id", "score", "title"}
    assert set(answer) == {*RecommendResponse.model_fields}


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


def test_a_model_that_was_made_to_recommend_all_may_return_the_history(tiny: Bundle) -> None:
    """Unless the request says otherwise."""
    bundle = replace(tiny, manifest=tiny.manifest.model_copy(update={"recommend": "all"}))

    def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
        items, engine = LiveItems(bundle), make_engine(bundle, settings)
        return new_generation(items, engine, NoIntake(), settings, metrics)

    settings = Settings(bundle=tiny.directory, provider="cpu", drain=0)
    with TestClient(create_app(settings, load)) as client:
        assert client.get("/model").json()["recommend"] == "all"
        body = {"history": ["item-1", "item-2"], "k": ITEMS}
        assert {"item-1", "item-2"} < set(ids(ask(client, **body)))
        assert not {"item-1", "item-2"} & set(ids(ask(client, **body, include_history=False)))


def test_all_that_exist_are_returned_when_k_is_more(client: TestClient) -> None:
    assert len(ask(client, history=["item-1"], k=500)["items"]) == ITEMS - 1


def test_explain_names_the_most_similar_item_of_the_history(
    client: TestClient, tiny: Bundle
) -> None:
    history = ["item-1", "item-8", "item-2"]
    answer = ask(client, history=["nope", *history], k=20, explain=True)
    unit_ND = tiny.item_vectors_ND / np.linalg.norm(tiny.item_vectors_ND, axis=1, keepdims=True)
    for item in answer["items"]:
        row = int(item["item_id"].removeprefix("item-"))
        assert item["because"] == history[int((unit_ND[[1, 8, 2]] @ unit_ND[row]).argmax())]
        assert item["reason"] == "history"
    assert len({item["because"] for item in answer["items"]}) > 1


def test_a_popular_item_is_because_of_nothing(client: TestClient) -> None:
    answer = ask(client, history=[], k=2, explain=True)
    assert [item["because"] for item in answer["items"]] == [None, None]


def test_titles_come_along_or_are_null(client: TestClient) -> None:
    everything = ask(client, history=["item-1"], k=ITEMS)["items"]
    titles = {item["item_id"]: item["title"] for item in everything}
    assert titles["item-9"] == "Title 9"
    assert titles["item-0"] is None


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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"history": [}',
        b"null",
        b'{"history": ["\\ud800"]}',
        b'{"\\ud800": 1}',
        b'{"history": [], "k": ' + b"9" * 5000 + b"}",
        b"[" * 50_000,
    ],
)
def test_a_malformed_body_is_a_clear_422(client: TestClient, content: bytes) -> None:
    response = client.post("/recommend", content=content, headers=AS_JSON)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"]


def test_a_body_that_is_not_called_json_is_told_how(client: TestClient) -> None:
    response = client.post("/recommend", content=b'{"history": []}')
    assert response.status_code == 422
    assert "content-type: application/json" in response.json()["detail"]


def test_a_list_names_its_first_fault_and_an_answer_twenty_at_most(client: TestClient) -> None:
    response = client.post("/recommend", json={"history": ["a", *[1] * 9000], "exclude": [2, 3]})
    faults = [fault["field"] for fault in response.json()["errors"]]
    assert faults == ["history.1", "exclude.0"]
    unknown = {f"field-{n}": 0 for n in range(1000)}
    response = client.post("/recommend", json=unknown)
    assert response.status_code == 422
    assert len(response.json()["errors"]) == 20


@pytest.mark.parametrize("k", ["5", "5.0", "5e0", "0.5e1"])
def test_a_whole_number_may_be_written_as_json_allows(client: TestClient, k: str) -> None:
    """As the schema says: to JSON Schema 5.0 is an integer, and some clients write it so."""
    content = f'{{"history": ["item-3"], "k": {k}}}'
    response = client.post("/recommend", content=content, headers=AS_JSON)
    assert len(response.json()["items"]) == 5


@pytest.mark.parametrize("k", ["5.5", "true", '"5"', "null", "1e400", "1e300", "NaN", "-Infinity"])
def test_what_is_no_whole_number_is_refused(client: TestClient, k: str) -> None:
    content = f'{{"history": ["item-3"], "k": {k}}}'
    response = client.post("/recommend", content=content, headers=AS_JSON)
    assert response.status_code == 422


@drawing(max_examples=100, deadline=None)
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ("history", "k", "exclude", "include_history", "explain")


@drawing(max_examples=150, deadline=None)
@given(
    body=JSON
    | st.fixed_dictionaries({"history": JSON | st.lists(st.text(max_size=300), max_size=5)})
    | st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=6)
)
@example(body={"history": [], "": None})
def test_any_json_is_answered_or_refused_with_the_field(client: TestClient, body: Any) -> None:
    """Lone surrogates, NaN, deep nesting, huge integers: never a 500."""
    content = json.dumps(body).encode()
    response = client.post("/recommend", content=content, headers=AS_JSON)
    assert response.status_code in (200, 422)
    if response.status_code == 422:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["errors"][0]["field"]


def test_health_and_model(client: TestClient, tiny: Bundle) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    model = client.get("/model").json()
    assert (model["name"], model["model_version"]) == ("tiny", tiny.digest)
    assert (model["provider"], model["catalogue_size"]) == ("onnx-cpu", ITEMS)
    assert model["code_cache"] == {"backend": "process", "available": True}
    assert model["architecture"]["width"] == 16
    assert model["metrics"] == {"ndcg@10": 0.1}


def test_the_openapi_document_has_examples_and_problems(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["schemas"]["RecommendRequest"]["examples"][0]["history"]
    everywhere = {"200", "400", "404", "405", "408", "431", "500", "503"}
    for path, operations in document["paths"].items():
        if path.startswith(("/items", "/similar", "/events", "/users")):
            continue
        for operation in operations.values():
            responses = operation["responses"]
            body = {"413", "422", "504"} if path.startswith("/recommend") else set()
            assert set(responses) == everywhere | body
            for status in set(responses) - {"200"}:
                assert set(responses[status]["content"]) == {"application/problem+json"}


def test_the_document_says_what_the_operator_allows(tiny: Bundle) -> None:
    settings = Settings(bundle=tiny.directory, max_k=7, max_history=3, max_exclude=0)
    document = create_app(settings).openapi()
    schema = document["components"]["schemas"]["RecommendRequest"]
    fields = schema["properties"]
    assert (fields["k"]["type"], fields["k"]["minimum"], fields["k"]["maximum"]) == (
        "integer",
        1,
        7,
    )
    assert (fields["history"]["maxItems"], fields["exclude"]["maxItems"]) == (3, 0)
    assert all(field["description"] for field in fields.values())
    assert not schema["additionalProperties"]
    assert schema["anyOf"] == [{"required": ["history"]}, {"required": ["user_id"]}]


def test_the_examples_of_the_document_are_accepted(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    examples = document["components"]["schemas"]["RecommendRequest"]["examples"]
    assert examples
    for shown in examples:
        ask(client, **shown)


def test_explain_says_what_an_item_of_the_history_brings_to_mind(tiny_bundles: TinyBundles) -> None:
    directory = tiny_bundles.copy(remembers=True)
    memory = bundles.read(directory).memory
    assert memory is not None
    history = [3, 8, 2]
    with TestClient(create_app(Settings(bundle=directory))) as client:
        answer = ask(client, history=[f"item-{n}" for n in history], k=30, explain=True)
    told = {item["item_id"]: (item["because"], item["reason"]) for item in answer["items"]}
    rows = [int(item_id.removeprefix("item-")) for item_id in told]
    reasons = dict(zip(told, memory.reasons(history, rows), strict=True))
    for item_id, reason in reasons.items():
        if reason is None:
            assert told[item_id][1] == "history"
        else:
            why = "alike" if reason.alike else "after"
            assert told[item_id] == (f"item-{reason.row}", why)
    assert {why for _, why in told.values()} == {"after", "alike", "history"}
