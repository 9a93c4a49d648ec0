"""The folder's links are followed: swaps, roll back, and bundles that must not serve."""

import gc
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from benchmarks.reliability.broken import BROKEN, flip, give_no_numbers
from models.contract.bundle import FILES, Bundle, read
from models.contract.store import BundleStore
from service import pace
from service.generation import load
from service.generation.generation import Generation
from service.generation.load import load_generation
from service.http.app import create_app
from service.settings import Settings
from tests.service.program import eventually

KEY = "a-key-of-an-operator"


@pytest.fixture
def client(store: BundleStore, digests: list[str]) -> Iterator[TestClient]:
    store.activate(digests[0])
    settings = Settings.model_validate(
        {"bundle": store.output, "provider": "cpu", "watch": 0.02, "admin_key": KEY}
    )
    with TestClient(create_app(settings)) as client:
        yield client


def version(client: TestClient) -> str:
    answer = client.post("/recommend", json={"history": ["item-1"]})
    assert answer.status_code == 200
    return str(answer.json()["model_version"])


def worker(client: TestClient) -> dict[str, Any]:
    (only,) = client.get("/model").json()["workers"]
    return dict(only)


def reload(client: TestClient) -> dict[str, Any]:
    answer = client.post("/admin/reload", headers={"authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200
    return dict(answer.json()["workers"][0])


def sample(client: TestClient, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " "))


def test_the_link_is_followed_and_going_back_too(
    client: TestClient, store: BundleStore, digests: list[str]
) -> None:
    assert version(client) == digests[0]
    for digest in (digests[1], digests[0]):
        store.activate(digest)
        assert eventually(lambda wanted=digest: version(client) == wanted)  # type: ignore[misc]
        assert worker(client) == {
            "pid": os.getpid(),
            "serves": {"current": digest},
            "failures": {},
            "changed_on_disk": False,
        }
    assert sample(client, 'bbqrec_loads_total{result="ok"}') == 3


def test_what_is_loaded_beside_what_serves_rests_between_its_steps(
    store: BundleStore, digests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is what all requests wait for."""
    rests = list[bool]()

    def load(*args: Any) -> Generation:
        rests.append(hasattr(pace._thread, "began"))
        return load_generation(*args)

    store.activate(digests[0])
    settings = Settings.model_validate(
        {"bundle": store.output, "provider": "cpu", "watch": 0.02, "admin_key": KEY}
    )
    with TestClient(create_app(settings, load)) as client:
        store.activate(digests[1])
        reload(client)
        assert version(client) == digests[1]
    assert rests == [False, True]


def test_an_operator_reloads_with_the_key_alone(
    client: TestClient, store: BundleStore, digests: list[str]
) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": KEY[:-1]}):
        assert client.post("/admin/reload", headers=headers).status_code == 401
    store.activate(digests[1])
    assert reload(client)["serves"] == {"current": digests[1]}
    keyless = create_app(Settings(bundle=store.output, provider="cpu"))
    with TestClient(keyless) as other:
        answer = other.post("/admin/reload", headers={"authorization": "Bearer "})
        assert answer.status_code == 404


@pytest.mark.parametrize("how", BROKEN)
def test_a_bundle_that_fails_leaves_the_old_one_serving_and_says_why(
    client: TestClient, store: BundleStore, digests: list[str], how: str
) -> None:
    target = (store.root / digests[1]).resolve()
    BROKEN[how](target)
    store.point("current", target)
    assert eventually(lambda: bool(worker(client)["failures"]))
    assert version(client) == digests[0]
    assert digests[1] in worker(client)["failures"]["current"]
    assert sample(client, 'bbqrec_load_failing{role="current"}') == 1
    assert client.get("/readyz").status_code == 200
    store.activate(digests[0])
    assert eventually(lambda: not worker(client)["failures"])
    assert sample(client, 'bbqrec_load_failing{role="current"}') == 0


def test_what_serves_no_longer_is_freed_without_a_collection(
    store: BundleStore, digests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what could not serve: no collection, which stops every request, is needed for it."""
    made: list[weakref.ref[Bundle]] = []

    def noted(*arguments: Any) -> Bundle:
        found = read(*arguments)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(load, "read", noted)
    store.activate(digests[0])
    broken = Path(shutil.copytree(store.root / digests[1], store.output / "broken")).resolve()
    give_no_numbers(broken)
    gc.disable()
    try:
        settings = Settings(bundle=store.output, provider="cpu", watch=0.02)
        with TestClient(create_app(settings)) as client:
            for digest in (digests[1], digests[0], digests[1]):
                store.activate(digest)
                assert eventually(lambda wanted=digest: version(client) == wanted)  # type: ignore[misc]
            store.point("current", broken)
            assert eventually(lambda: bool(worker(client)["failures"]))
            assert version(client) == digests[1]
            store.activate(digests[0])
            assert eventually(lambda: version(client) == digests[0])
            assert eventually(lambda: sum(each() is not None for each in made) == 1)
            assert len(made) == 6
    finally:
        gc.enable()


def test_a_shadow_is_compared_and_never_answers(
    client: TestClient, store: BundleStore, digests: list[str]
) -> None:
    store.activate(digests[1], "shadow")
    assert eventually(lambda: "shadow" in worker(client)["serves"])
    assert {version(client) for _ in range(20)} == {digests[0]}
    client.post("/recommend", json={"history": []})
    client.post("/recommend/batch", json={"requests": [{"history": []}]})
    assert eventually(lambda: sample(client, "bbqrec_shadow_agreement_count") >= 20)
    share = sample(client, "bbqrec_shadow_agreement_sum") / sample(
        client, "bbqrec_shadow_agreement_count"
    )
    assert 0 <= share < 1  # another seed's model, another opinion
    assert eventually(lambda: sample(client, "bbqrec_shadow_agreement_count") >= 22)
    assert sample(client, 'bbqrec_fallbacks_total{reason="popular"}') == 2  # what was answered
    assert sample(client, 'bbqrec_answer_seconds_count{role="current"}') == 22
    for_itself = {"x-generation": "shadow"}
    asked = client.post("/recommend", json={"history": ["item-1"]}, headers=for_itself)
    assert asked.json()["model_version"] == digests[1]
    store.activate(digests[0], "shadow")
    assert eventually(lambda: worker(client)["serves"].get("shadow") == digests[0])
    before = sample(client, "bbqrec_shadow_agreement_sum")
    version(client)
    assert eventually(lambda: sample(client, "bbqrec_shadow_agreement_sum") == before + 1)
    assert sample(client, "bbqrec_shadow_agreement_count") == 23  # with itself it always agrees
    store.retire("shadow")
    assert eventually(lambda: "shadow" not in worker(client)["serves"])


def test_a_canary_is_sticky_by_the_request_s_key(
    client: TestClient, store: BundleStore, digests: list[str]
) -> None:
    store.activate(digests[1], "canary")
    assert eventually(lambda: "canary" in worker(client)["serves"])

    def of(user: int) -> str:
        headers = {"x-sticky-key": f"user-{user}"}
        answer = client.post("/recommend", json={"history": ["item-1"]}, headers=headers)
        return str(answer.json()["model_version"])

    first = [of(user) for user in range(100)]
    assert set(first) == set(digests)
    assert [of(user) for user in range(100)] == first
    assert 2 <= first.count(digests[1]) <= 25  # a tenth


def test_files_written_over_are_noticed(
    client: TestClient, store: BundleStore, digests: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    card = store.root / digests[0] / FILES.MODEL_CARD
    card.chmod(0o644)
    card.write_text("somebody copied another model over this one")
    assert eventually(lambda: bool(worker(client)["changed_on_disk"]))
    assert "written over" in caplog.text
    assert sample(client, "bbqrec_bundle_changed") == 1


@pytest.fixture
def hasty(store: BundleStore, digests: list[str]) -> Settings:
    """Of a service that serves before it has looked at all. The second bundle is damaged."""
    flip(FILES.ITEM_VECTORS, store.root / digests[1])
    store.activate(digests[0])
    return Settings.model_validate(
        {"bundle": store.output, "provider": "cpu", "watch": 0.02, "verify": "background"}
    )


def test_mapped_tables_may_be_checked_while_they_serve(
    hasty: Settings, store: BundleStore, digests: list[str]
) -> None:
    """What does not pass goes out of service: back to the one before, or to none."""
    with TestClient(create_app(hasty)) as client:
        time.sleep(0.5)  # the first one passes
        store.activate(digests[1])
        assert eventually(lambda: "SHA-256" in worker(client)["failures"].get("current", ""))
        assert version(client) == digests[0]
    with TestClient(create_app(hasty)) as client:
        assert eventually(lambda: client.get("/readyz").status_code == 503)


@pytest.mark.parametrize("lost", [shutil.rmtree, lambda folder: flip(FILES.ITEM_VECTORS, folder)])
def test_what_is_damaged_goes_out_of_service_though_there_is_nothing_to_go_back_to(
    hasty: Settings,
    lost: Callable[[Path], None],
    store: BundleStore,
    digests: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one before was removed since, or damaged too."""
    with TestClient(create_app(hasty)) as client:
        time.sleep(0.5)  # the first one passes
        store.activate(digests[1])
        lost(store.root / digests[0])
        assert eventually(lambda: client.get("/readyz").status_code == 503)
        time.sleep(0.2)
        assert client.get("/readyz").status_code == 503
    assert "SHA-256 differs" in caplog.text


def test_a_bundle_that_is_removed_was_not_written_over(
    client: TestClient, store: BundleStore, digests: list[str]
) -> None:
    """It stays readable to whoever has it open: no alarm."""
    shutil.rmtree(store.root / digests[0])
    time.sleep(0.2)  # ten looks
    assert worker(client)["changed_on_disk"] is False
    assert version(client) == digests[0]
