"""Live items and generations: what a new bundle takes over, while items are being written."""

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from benchmarks.reliability.like_intake import LikeIntake
from models.contract import bundle
from models.contract.intake import Content, IntakeAwayError, Taken
from models.contract.store import BundleStore
from service.catalogue.change import Change
from service.catalogue.change_log import CHANGE_LOG
from service.catalogue.live_items import LiveItems
from service.catalogue.opening import opening
from service.catalogue.taking import Taking
from service.engine.choose import make_engine
from service.engine.engine import HostEngine
from service.generation import live_follower
from service.generation.generation import Generation
from service.generation.live_follower import LiveFollower
from service.generation.load import new_generation
from service.http.app import create_app
from service.log.file_log import FileLog
from service.log.log import Entry, LogError
from service.metrics import Metrics
from service.settings import Settings
from tests.service.catalogue.changes import put as a_put
from tests.service.fakes import FakeRetriever, FakeScorer
from tests.service.http.test_items import KEY, put
from tests.service.program import eventually

LIKE = Content(text={"like": "item-3"})


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


class Once(LikeIntake):
    """Its memory is full, once."""

    failed = False

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        if not self.failed:
            self.failed = True
            raise MemoryError("once")
        return super().take(contents)


class Never(LikeIntake):
    """Of what has no title."""

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        if any(content.title is None for content in contents):
            raise MemoryError("never")
        return super().take(contents)


@pytest.mark.parametrize(("intake", "known"), [(Once, ["a", "b"]), (Never, ["a"])])
def test_what_is_acknowledged_is_taken_in_whatever_an_encoder_does(
    intake: type[LikeIntake], known: list[str], store: BundleStore, digests: list[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Tried again; and what no try can encode keeps nothing else from being applied."""
    monkeypatch.setattr(live_follower, "_PAUSE", 0.01)
    items = LiveItems(bundle.read(store.root / digests[0]))
    follower = LiveFollower(items, Taking(intake(items.bundle)), Metrics())
    changes = FileLog(tmp_path, CHANGE_LOG)
    follower.replay(changes)

    async def follow() -> None:
        await follower.start()
        a = Change("put", "a", time.time(), content=replace(LIKE, title="A"))
        puts = [a, Change("put", "b", time.time(), content=LIKE)]
        positions = changes.append([*puts, Change("delete", "item-8", time.time())])
        await asyncio.wait_for(follower.until(positions[-1]), 10)
        await follower.close()

    asyncio.run(follow())
    after = LiveItems(items.bundle)  # of the next start
    LiveFollower(after, Taking(intake(items.bundle)), Metrics()).replay(changes)
    for each in (items, after):
        assert [item_id for item_id in ("a", "b") if each.item(item_id)] == known
        assert each.item("item-8") is None


class Away(LikeIntake):
    """Its files cannot be opened for a while."""

    times = 9

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        if self.times:
            self.times -= 1
            raise IntakeAwayError("no more open files")
        return super().take(contents)


def test_where_nothing_can_be_encoded_for_a_while_no_item_is_refused(
    store: BundleStore, digests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that comes then, nor one that a start finds in the log."""
    monkeypatch.setattr(live_follower, "_PAUSE", 0.01)
    intake = Away(bundle.read(store.root / digests[0]))
    changes = FileLog(tmp_path, CHANGE_LOG)
    changes.append([Change("put", "a", time.time(), content=LIKE)])
    follower = LiveFollower(LiveItems(intake.bundle), Taking(intake), Metrics())
    with pytest.raises(LogError, match="no more open files"):
        follower.replay(changes)

    async def follow() -> None:
        await follower.start()
        await asyncio.wait_for(follower.until(1), 10)
        intake.times = 9
        (position,) = changes.append([Change("put", "b", time.time(), content=LIKE)])
        await asyncio.wait_for(follower.until(position), 10)
        await follower.close()

    asyncio.run(follow())
    assert follower.items.item("a")
    assert follower.items.item("b")
    assert not follower.items.refused


def test_a_put_that_cannot_be_encoded_just_now_is_to_be_sent_again(
    shop: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(LikeIntake, "take", Away.take)
        patched.setattr(LikeIntake, "times", 1, raising=False)
        answer = shop.put("/items/new", json={"text": {"like": "item-3"}})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "no more open files"
    assert put(shop, "new").status_code == 200


def test_a_file_that_cannot_be_opened_is_said_so_and_one_that_is_gone_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "graph.onnx"
    for expected in FileNotFoundError, IntakeAwayError:
        with pytest.raises(expected), opening(path):
            raise FileNotFoundError(path)
        path.touch()


@pytest.mark.parametrize(
    "asked",
    [
        {"exclude": ["new"]},
        {"exclude": ["new"], "include_history": True},
        {"history": ["item-3", "new"]},
        {"rank": {"items": ["new", "item-9"]}},
    ],
)
@pytest.mark.parametrize(("times", "known"), [(1, True), (1, False), (9, True), (9, False)])
def test_what_is_put_anew_while_somebody_asks_is_still_what_they_named(
    store: BundleStore, digests: list[str], asked: dict[str, Any], times: int, known: bool
) -> None:
    """It has another row from then on, or a first one, each time that it is looked for."""
    store.activate(digests[0])
    settings = Settings(bundle=store.output, items_key=KEY["authorization"][7:], provider="cpu")
    with TestClient(create_app(settings, searching), headers=KEY) as shop:
        if known:
            put(shop, "new")
        put_anew_while_asked(shop, times)
        answer = shop.post("/recommend", json={"history": ["item-3"], "k": 50} | asked)
    assert answer.status_code == 200, answer.text
    told = {item["item_id"] for item in answer.json()["items"]}
    if "rank" not in asked:
        assert "new" not in told
        assert len(told) >= (50 if times == 1 else 49)
    elif known and times == 1:
        assert told == {"new", "item-9"}


def searching(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
    """A search that is none of a test's."""
    items = LiveItems(bundle.read(directory))
    engine = make_engine(items.bundle, settings, lambda: items.live)
    return new_generation(items, engine, LikeIntake(items.bundle), settings, metrics)


def put_anew_while_asked(shop: TestClient, times: int) -> None:
    positions = iter(range(99, 99 + times))
    generation = shop.app.state.service.registry.get("current")  # type: ignore[attr-defined]
    items, search = generation.live.items, generation.batcher.candidates

    async def after_a_put(*args: Any) -> Any:
        for position in islice(positions, 1):
            content = Content(text={"like": f"item-{position % 2 + 3}"})
            taken = LikeIntake(items.bundle).take([content])[0]
            change = Change("put", "new", time.time(), content=content)
            items.apply(Entry(position, change), taken)
            items.publish()
        return await search(*args)

    generation.batcher.candidates = after_a_put


def test_a_change_that_cannot_be_applied_keeps_no_other_from_it(
    store: BundleStore, digests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = LiveItems(bundle.read(store.root / digests[0]))
    follower = LiveFollower(items, Taking(LikeIntake(items.bundle)), Metrics())
    apply = items.apply

    def faulty(entry: Entry[Change], row: Any) -> Any:
        if entry.value.item_id == "item-7":
            raise RuntimeError("a bug")
        return apply(entry, row)

    monkeypatch.setattr(items, "apply", faulty)
    changes = FileLog(tmp_path, CHANGE_LOG)
    changes.append([Change("delete", f"item-{n}", time.time()) for n in (6, 7, 8)])
    follower.replay(changes)
    assert [items.item(f"item-{n}") is None for n in (6, 7, 8)] == [True, False, True]
    assert follower.outcome(2) == "refused"
    assert follower.position == 3


def test_of_another_log_no_change_has_the_outcome_of_one_that_was_in_its_place(
    store: BundleStore, digests: list[str], tmp_path: Path
) -> None:
    items = LiveItems(bundle.read(store.root / digests[0]))
    follower = LiveFollower(items, Taking(LikeIntake(items.bundle)), Metrics())
    for folder, outcome in ("one", "stale"), ("another", "applied"):
        changes = FileLog(tmp_path / folder, CHANGE_LOG)
        changes.append([Change("delete", f"item-{folder}", time.time(), version=2)])
        versions = {"one": 1, "another": 3}
        changes.append([Change("delete", "item-one", time.time(), version=versions[folder])])
        follower.replay(changes)
        assert follower.outcome(2) == outcome
