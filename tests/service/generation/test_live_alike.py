"""A live item has its part in a bundle's memory from the answer on, through the whole service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from benchmarks.reliability.like_intake import LikeIntake
from models.contract.bundle import read
from models.contract.intake import Content, Taken
from models.contract.likeness import NOBODY, Alike
from service.catalogue.live_items import LiveItems
from service.engine.choose import make_engine
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.http.app import create_app
from service.metrics import Metrics
from service.settings import Settings
from tests.conftest import TinyBundles

AFTER, BEFORE = 40.0, 30.0
ALIKE = Alike(np.array([1], np.int32), *np.array([[AFTER], [BEFORE]], np.float32))


class AlikeIntake(LikeIntake):
    """Whoever is put is described like item 1, unless its title denies it."""

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        taken = zip(contents, super().take(contents), strict=True)
        return [row._replace(alike=NOBODY if each.title else ALIKE) for each, row in taken]


def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
    items = LiveItems(read(directory))
    engine = make_engine(items.bundle, settings, lambda: items.live)
    return new_generation(items, engine, AlikeIntake(items.bundle), settings, metrics)


@pytest.fixture
def shop(tiny_bundles: TinyBundles, tmp_path: Path) -> TestClient:
    settings = Settings(
        bundle=tiny_bundles.copy(remembers=True), live=tmp_path, items_key="a-key", provider="cpu"
    )
    return TestClient(create_app(settings, load), headers={"authorization": "Bearer a-key"})


def put_both(client: TestClient) -> None:
    """Of the same content, one described like item 1, the other like nobody."""
    for item_id, title in (("new", None), ("other", "Like nobody")):
        body = {"title": title, "text": {"like": "item-3"}}
        assert client.put(f"/items/{item_id}", json=body).status_code == 200


def told(client: TestClient, history: list[str]) -> dict[str, dict[str, Any]]:
    asked = {"history": history, "k": 50, "explain": True}
    answer = client.post("/recommend", json=asked).json()
    return {item["item_id"]: item for item in answer["items"]}


def test_it_comes_to_mind_after_what_it_is_like_and_says_why(shop: TestClient) -> None:
    with shop as client:
        put_both(client)
        found = told(client, ["item-1"])
        assert found["new"]["score"] == pytest.approx(found["other"]["score"] + BEFORE, abs=1e-3)
        assert (found["new"]["because"], found["new"]["reason"]) == ("item-1", "alike")
        assert found["other"]["reason"] == "history"
        after_another = told(client, ["item-2"])
        assert after_another["new"]["score"] == pytest.approx(after_another["other"]["score"])


def test_after_it_comes_what_it_is_like(shop: TestClient) -> None:
    with shop as client:
        put_both(client)
        after, after_other = (told(client, [each])["item-1"] for each in ("new", "other"))
        assert after["score"] == pytest.approx(after_other["score"] + AFTER, abs=1e-3)
        assert (after["because"], after["reason"]) == ("new", "alike")
