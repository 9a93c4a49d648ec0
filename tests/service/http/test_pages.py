"""/docs and /redoc load nothing from another host."""

import re
from functools import reduce

import pytest
from fastapi.testclient import TestClient

from models.contract.bundle import Bundle
from service.http.app import create_app
from service.settings import Settings

PAGES = ["/docs", "/redoc"]


def test_every_reference_of_the_document_leads_somewhere(client: TestClient) -> None:
    """Redoc draws nothing at all where one does not."""
    answer = client.get("/openapi.json")
    references = {*re.findall(r'"\$ref":"#/([^"]+)"', answer.text)}
    assert "components/schemas/EventIn" in references
    for reference in references:
        reduce(dict.__getitem__, reference.split("/"), answer.json())


def test_limits_of_numbers_are_spelled_as_json_schema_has_them(client: TestClient) -> None:
    """Pydantic writes those that it has lost track of as `ge` and `le`, which nobody reads."""
    text = client.get("/openapi.json").text
    assert not re.search(r'"(?:ge|le|multiple_of|max_length|min_length)":', text)
    position = client.get("/openapi.json").json()["components"]["schemas"]["PinIn"]["properties"]
    assert (position["position"]["minimum"], position["position"]["maximum"]) == (1, 10_000)


def test_the_document_names_the_key_of_every_route_that_asks_for_one(tiny: Bundle) -> None:
    """So that /docs has a button for it, and clients that are generated from it send it."""
    document = create_app(Settings(bundle=tiny.directory, admin_key="secret")).openapi()
    schemes = document["components"]["securitySchemes"]
    assert {(told["type"], told["scheme"]) for told in schemes.values()} == {("http", "bearer")}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            asks = "401" in operation["responses"]
            (named,) = [[*each] for each in operation.get("security", [{}])]
            kind = {"items": "ItemsKey", "admin": "AdminKey"}.get(path.split("/")[1], "EventsKey")
            assert named == ([kind] if asks else []), (method, path)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_other_host_and_what_it_loads_is_served(
    client: TestClient, page: str
) -> None:
    html = client.get(page).text
    assert not re.search(r"https?:|[\"'(]//", html)
    loaded = re.findall(r"(?:src|href|spec-url|url)[=:]\s*[\"'](/[^\"']+)", html)
    assert "/openapi.json" in loaded
    assert any(path.endswith(".js") for path in loaded)
    for path in loaded:
        asset = client.get(path)
        assert asset.status_code == 200
        assert len(asset.content) > 1_000


@pytest.mark.parametrize("page", PAGES)
def test_a_browser_is_told_to_load_nothing_from_elsewhere(client: TestClient, page: str) -> None:
    policy = client.get(page).headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    sources = {word for part in policy.split(";") for word in part.split()[1:]}
    assert sources <= {"'self'", "'unsafe-inline'", "data:", "blob:", "'none'"}


def test_what_the_scripts_would_load_by_themselves_is_here_or_off(client: TestClient) -> None:
    """Swagger's badge is drawn by its maker's host, and Redoc's logo lies on one."""
    assert '"validatorUrl": null' in client.get("/docs").text
    assert "cdn.redoc.ly" not in client.get("/redoc/redoc.standalone.js").text
    assert client.get("/redoc/logo-mini.svg").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_behind_a_prefix_everything_is_asked_for_under_it(client: TestClient, page: str) -> None:
    under = TestClient(client.app, root_path="/shop")
    html = under.get(page).text
    assert "/shop/openapi.json" in html
    assert f"/shop{page}/" in html


@pytest.mark.parametrize("path", ["/docs/../../pyproject.toml", "/docs/nope", "/redoc/%2e%2e/x"])
def test_nothing_else_is_served_beside_them(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
