"""Pictures of the shop's folder, and nothing else of the machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from models.contract.bundle import Bundle
from service.http import pictures
from service.http.app import create_app
from service.settings import Settings


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "pictures").mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(folder / "pictures/nine.png")
    for outside in "secret.png", "linked.png":
        Image.new("RGB", (8, 8), "blue").save(tmp_path / outside)
    (folder / "link.png").symlink_to(tmp_path / "linked.png")
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(pictures._MOST_BYTES))
    return folder


@pytest.fixture
def client(tiny: Bundle, shop: Path, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(
        bundle=tiny.directory, pictures=shop, live=tmp_path, events=tmp_path, drain=0
    )
    with TestClient(create_app(settings)) as client:
        yield client


def test_a_picture_is_found_where_the_item_says(client: TestClient, shop: Path) -> None:
    found = client.get(
        "/items", params={"item_id": ["item-9", "item-8", "item-13", "item-15"]}
    ).json()
    assert [item["picture"] for item in found["items"]] == ["pictures/item-9", None, None, None]
    answer = client.get("/pictures/item-9")
    assert answer.content == (shop / "pictures/nine.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("n", [8, 10, 11, 12, 13, 14, 15, 16, 999])
def test_nothing_else_is_given_out(client: TestClient, n: int) -> None:
    """No reference, out of the folder, a link out of it, SVG, a URL, large, missing, a folder."""
    assert client.get(f"/pictures/item-{n}").status_code == 404


def test_without_a_folder_there_is_no_such_path(tiny: Bundle, tmp_path: Path) -> None:
    settings = Settings(bundle=tiny.directory, live=tmp_path, events=tmp_path, drain=0)
    with TestClient(create_app(settings)) as client:
        assert client.get("/pictures/item-9").status_code == 404
        found = client.get("/items", params={"item_id": "item-9"}).json()
        assert found["items"][0]["picture"] is None
