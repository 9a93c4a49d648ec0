"""The page's files: what they are served with, and what they may load."""

import gzip
import re

import pytest
from fastapi.testclient import TestClient

from models.contract.bundle import Bundle
from service.http.app import create_app
from service.page.files import PageFiles
from service.settings import Settings

MOST_BYTES = 200_000  # of the first view
FIRST = 'href="(/[^"]*)"|src="(/[^"]*)"'


def loaded(html: str) -> list[str]:
    return sorted({one or other for one, other in re.findall(FIRST, html)})


def test_the_shell_and_all_it_loads_are_small_and_kept_for_ever(client: TestClient) -> None:
    shell = client.get("/")
    assert shell.headers["content-type"] == "text/html; charset=utf-8"
    sizes = [int(shell.headers["content-length"])]
    paths = loaded(shell.text)
    assert {path.rsplit(".")[-1] for path in paths} == {"js", "css", "svg"}
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        sizes.append(int(answer.headers["content-length"]))
    assert sum(sizes) < MOST_BYTES


def test_every_module_is_named_by_the_shell(client: TestClient) -> None:
    """Else a browser hears of it only once it has read another."""
    names = {path.rsplit("/")[-1] for path in loaded(client.get("/").text)}
    assert names == set(PageFiles().files)


def test_what_a_browser_has_is_not_sent_again(client: TestClient) -> None:
    for path in ["/", *loaded(client.get("/").text)]:
        etag = client.get(path).headers["etag"]
        again = client.get(path, headers={"if-none-match": etag})
        assert (again.status_code, again.content) == (304, b"")


def test_what_packing_makes_smaller_goes_packed_where_it_may(client: TestClient) -> None:
    (style,) = [path for path in loaded(client.get("/").text) if path.endswith(".css")]
    packed = client.get(style, headers={"accept-encoding": "gzip"})
    plain = client.get(style, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.content == plain.content
    assert "content-encoding" not in plain.headers


def test_packing_is_the_same_every_time() -> None:
    files = PageFiles().files
    assert files == PageFiles().files
    assert all(
        gzip.decompress(file.packed) == file.content for file in files.values() if file.packed
    )


def test_no_script_or_style_is_written_into_the_page(client: TestClient) -> None:
    shell = client.get("/")
    policy = shell.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert not re.search(r"<style|<script(?![^>]* src=)| on\w+=| style=", shell.text)


def test_behind_a_prefix_everything_is_asked_for_under_it(client: TestClient) -> None:
    paths = loaded(TestClient(client.app, root_path="/shop").get("/").text)
    assert paths
    assert all(path.startswith("/shop/page/") for path in paths)


@pytest.mark.parametrize("path", ["/page/x/main.js", "/page/../settings.py", "/page/catalogue/x"])
def test_nothing_else_is_served_beside_it(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_it_can_be_left_out(tiny: Bundle) -> None:
    app = create_app(Settings(bundle=tiny.directory, page=False))
    client = TestClient(app)
    assert client.get("/").status_code == 404
    assert client.get("/page/catalogue").status_code == 404
    assert client.get("/docs").status_code == 200


def test_it_is_there_before_a_model_is(tiny: Bundle) -> None:
    client = TestClient(create_app(Settings(bundle=tiny.directory)))  # never started
    assert client.get("/").status_code == 200
    assert client.get("/page/catalogue").status_code == 503


def test_the_map_is_of_every_item_and_not_sent_twice(client: TestClient) -> None:
    answer = client.get("/page/map")
    told = answer.json()
    assert told["ids"][:2] == ["item-59", "item-58"]
    assert len(told["places"]) == 2 * len(told["ids"]) == 120
    codes = [client.get(f"/items/item-{n}").json()["semantic_id"] for n in (59, 58)]
    assert told["codes"]["text"][:2] == [of[0] for of in codes]
    assert told["codes"]["behaviour"][:2] == [of[2] for of in codes]
    known = {"if-none-match": answer.headers["etag"]}
    assert client.get("/page/map", headers=known).status_code == 304


def test_a_bundle_without_samples_shows_nobody(client: TestClient) -> None:
    assert client.get("/page/samples").status_code == 404
    assert client.get("/page/catalogue").json()["samples"] is False


def test_it_knows_what_there_is_to_filter_by(client: TestClient) -> None:
    told = client.get("/page/catalogue").json()
    assert (told["name"], told["items"], told["intake"]) == ("tiny", 60, None)
    price, kind = sorted(told["attributes"], key=lambda each: each["name"], reverse=True)
    assert (price["least"], price["most"], price["values"]) == (1, 59, [])
    assert kind["values"][0] == "shoe"
    assert set(kind["values"]) == {"shoe", "hat", "red"}
