"""A body at fault is cheap: little of it is parsed, it is validated once, few faults are built."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from benchmarks.reliability.bodies import KNOWN, SIZE, Shape, shapes
from models.contract.bundle import Bundle
from service.http import json_route
from service.http.app import create_app
from service.http.body import MOST_FAULTS, Body
from service.http.json_route import is_bloated, read_body
from service.http.recommend_schemas import within_limits
from service.settings import Settings
from tests.service.fakes import FakeScorer, loader

REQUEST = within_limits(Settings(bundle=Path()))
FEW = MOST_FAULTS + len(REQUEST.model_fields)
AS_JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def served(tiny: Bundle) -> Any:
    settings = Settings(bundle=tiny.directory)
    with TestClient(create_app(settings, loader(tiny, FakeScorer()))) as client:
        yield client


def faults(model: type[Body], body: bytes) -> int:
    """How many were built."""
    try:
        read_body(model, body)
    except RequestValidationError as error:
        return len(error.errors())
    return 0


def outside_strings(text: str) -> int:
    """What ``is_bloated`` counts, letter by letter."""
    count, inside, escaped = 0, False, False
    for letter in text:
        if letter == '"' and not escaped:
            inside = not inside
        elif not inside and letter not in " \t\r\n":
            count += 1
        escaped = letter == "\\" and not escaped
    return count


@pytest.mark.parametrize("shape", KNOWN.values(), ids=KNOWN)
def test_what_is_known_to_hurt_is_refused_with_few_faults(served: TestClient, shape: Shape) -> None:
    body = shape.body()
    assert SIZE - 5_000 < len(body) <= SIZE
    answer = served.post("/recommend", content=body, headers=AS_JSON)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert 1 <= faults(REQUEST, body) <= FEW
    assert len(answer.content) < 10_000


@settings(max_examples=60, deadline=None)
@given(shapes())
def test_a_megabyte_of_any_shape_is_answered_with_few_faults(
    served: TestClient, shape: Shape
) -> None:
    body = shape.body()
    answer = served.post("/recommend", content=body, headers=AS_JSON)
    assert answer.status_code in (200, 422)
    assert faults(REQUEST, body) <= FEW
    if answer.status_code == 422:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"]


@pytest.mark.parametrize("name", ["empty strings", "unknown fields", "lists in lists", "objects"])
def test_too_many_values_are_not_even_parsed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(json_route, "from_json", lambda *_, **__: pytest.fail("parsed"))
    assert faults(REQUEST, KNOWN[name].body()) == 1


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_small_enough_to_be_parsed_has_few_faults_too(name: str) -> None:
    assert faults(REQUEST, KNOWN[name].body(REQUEST.most_json)) <= FEW


def test_few_faults_are_built_of_a_field_within_a_field() -> None:
    class Inner(Body):
        known: int

    class Outer(Body):
        inner: Inner

    unknown = {f"field-{number}": 0 for number in range(900)}
    assert faults(Outer, json.dumps({"inner": unknown}).encode()) == MOST_FAULTS + 1


def test_of_many_unknown_fields_the_known_ones_are_read_still() -> None:
    body = {f"field-{number}": 0 for number in range(900)} | {"history": ["a"], "k": 0}
    with pytest.raises(RequestValidationError) as refused:
        read_body(REQUEST, json.dumps(body).encode())
    named = [".".join(fault["loc"][1:]) for fault in refused.value.errors()]
    assert "k" in named
    assert "field-0" in named
    assert "history" not in named


@pytest.mark.parametrize("indent", [None, 8])
def test_the_largest_request_allowed_is_taken(indent: int | None) -> None:
    """10,000 ids of each kind, with all that JSON may put into and around them."""
    ids = ['[{"\\,: é', "plain"] * 5_000
    body = {"history": ids, "exclude": ids, "k": 500, "include_history": True, "explain": False}
    assert read_body(REQUEST, json.dumps(body, indent=indent).encode()) == REQUEST.model_validate(
        body
    )


PIECES = st.sampled_from(['"', "\\", "\\\\", '\\"', "[", ",", " ", "\n", "a", "{", "é", ":", "0"])


@settings(max_examples=500)
@given(st.recursive(st.none() | st.text() | st.integers(), st.lists), st.none() | st.just(2))
@example(["\\", '"', '\\"', "\\\\"], None)
def test_bytes_outside_of_strings_are_counted_exactly(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    count = outside_strings(text)
    assert not is_bloated(text.encode(), count)
    assert is_bloated(text.encode(), count - 1)


@settings(max_examples=500)
@given(st.lists(PIECES).map("".join))
def test_text_that_is_no_json_counts_up_to_where_a_parser_stops(text: str) -> None:
    """What a parser reads before the first fault cannot be more than what was counted."""
    for end in range(len(text)):
        try:
            from_json(text[:end].encode(), allow_partial=True)
        except ValueError:
            break
        read = outside_strings(text[:end])
        assert read == 0 or is_bloated(text.encode(), read - 1)
