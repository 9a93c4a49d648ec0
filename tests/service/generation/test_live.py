"""Live items and generations: what a new bundle takes over, while items are being written."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from benchmarks.reliability.like_intake import LikeIntake
from models.contract import bundle
from models.contract.store import BundleStore
from service.catalogue.change_log import CHANGE_LOG
from service.catalogue.live_items import LiveItems
from service.engine.engine import HostEngine
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.http.app import create_app
from service.log.file_log import FileLog
from service.metrics import Metrics
from service.settings import Settings
from tests.service.catalogue.changes import put as a_put
from tests.service.fakes import FakeRetriever, FakeScorer
from tests.service.http.test_items import KEY, put
from tests.service.program import eventually


def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
    items = LiveItems(bundle.read(directory))
    engine = HostEngine(FakeScorer(), FakeRetriever())
    return new_generation(items, engine, LikeIntake(items.bundle), settings, metrics)


@pytest.fixture
def shop(store: BundleStore, digests: list[str]) -> Iterator[TestClient]:
    """Its log is in the output folder."""
    store.activate(digests[0])
    settings = Settings(bundle=store.output, items_key=KEY["authorization"][7:], watch=0.02)
    with TestClient(create_app(settings, load), headers=KEY) as client:
        yield client


def version(client: TestClient) -> str:
    return str(client.get("/model").json()["model_version"])


def swap(client: TestClient, store: BundleStore, digest: str) -> None:
    store.activate(digest)
    assert eventually(lambda: version(client) == digest)


def test_a_new_bundle_takes_live_items_over(
    shop: TestClient, store: BundleStore, digests: list[str]
) -> None:
    put(shop, "new", attributes={"price": 3})
    put(shop, "gone")
    shop.delete("/items/gone")
    shop.delete("/items/item-8")
    shop.patch("/items/item-9", json={"attributes": {"price": 1}})
    before = {i: shop.get(f"/items/{i}").json() for i in ("new", "item-9")}
    swap(shop, store, digests[1])
    after = {i: shop.get(f"/items/{i}").json() for i in ("new", "item-9")}
    for item_id, state in after.items():
        told = {name: state[name] for name in ("title", "attributes", "source", "position")}
        assert told == {name: before[item_id][name] for name in told}
    assert [shop.get(f"/items/{i}").status_code for i in ("gone", "item-8")] == [404, 404]
    assert (store.output / "live" / "changes.log").exists()


def test_swaps_under_writes_lose_none(
    shop: TestClient, store: BundleStore, digests: list[str]
) -> None:
    """Each is there from its answer on, whichever bundle is asked."""
    missing, stop = [], threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            assert put(shop, f"new-{written}").status_code == 200
            if shop.get(f"/items/new-{written}").status_code != 200:
                missing.append(written)
            written += 1

    thread = threading.Thread(target=write)
    thread.start()
    for number in range(1, 5):
        swap(shop, store, digests[number % 2])
    stop.set()
    thread.join()
    assert not missing
    assert shop.get("/model").json()["live"]["items"] == written
    assert all(shop.get(f"/items/new-{n}").status_code == 200 for n in range(written))


def test_while_the_log_cannot_be_read_no_new_bundle_serves(
    shop: TestClient, store: BundleStore, digests: list[str], tmp_path: Path
) -> None:
    """It would not have what the old one has."""
    put(shop)
    path = store.output / "live" / "changes.log"
    path.rename(tmp_path / "kept")
    path.mkdir()
    store.activate(digests[1])

    def said() -> bool:
        (worker,) = shop.get("/model").json()["workers"]
        return "cannot be taken over" in worker["failures"].get("current", "")

    assert eventually(said)
    assert version(shop) == digests[0]
    assert shop.get("/items/new").status_code == 200
    path.rmdir()
    (tmp_path / "kept").rename(path)
    shop.app.state.service.follower.failures.retry()  # type: ignore[attr-defined]
    assert eventually(lambda: version(shop) == digests[1])
    assert shop.get("/items/new").status_code == 200


def test_what_one_bundle_cannot_take_in_is_said_and_kept_for_the_next(
    shop: TestClient, store: BundleStore
) -> None:
    (position,) = FileLog(store.output / "live", CHANGE_LOG).append([a_put("strange")])
    assert shop.get("/items/item-3", headers={"x-after": str(position)}).status_code == 200
    assert shop.get("/items/strange").status_code == 404
    assert shop.get("/model").json()["live"]["refused"] == 1


def test_a_bundle_alone_has_its_log_beside_it(store: BundleStore, tmp_path: Path) -> None:
    one = Path(shutil.copytree(store.bundles()[0].directory, tmp_path / "one"))
    settings = Settings(bundle=one, items_key="a-key")
    with TestClient(create_app(settings, load), headers=KEY) as client:
        assert put(client).status_code == 200
    assert (tmp_path / "one-live" / "changes.log").exists()
