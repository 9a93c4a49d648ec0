"""Two workers follow one folder: by looking, when asked, and when one of them has just died."""

import http.client
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reliability.broken import BROKEN
from models.contract.store import BundleStore
from tests.service.process.test_workers import Served
from tests.service.program import eventually, recommend

KEY = "a-key-of-an-operator"


@pytest.fixture
def served(
    store: BundleStore, digests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """They look at the folder only when somebody asks."""
    store.activate(digests[0])
    monkeypatch.setenv("BBQREC_WATCH", "0")
    monkeypatch.setenv("BBQREC_ADMIN_KEY", KEY)
    made = Served(store.output, tmp_path / "log")
    yield made
    made.process.kill()
    made.process.wait()


def workers(served: Served) -> list[dict[str, Any]]:
    """None where a connection breaks with the worker that is killed."""
    try:
        with urllib.request.urlopen(f"{served.url}/model", timeout=5) as response:
            return list(json.load(response)["workers"])
    except (OSError, http.client.HTTPException):
        return []


def all_serve(served: Served, digest: str) -> bool:
    found = workers(served)
    return len(found) == 2 and all(worker["serves"] == {"current": digest} for worker in found)


def reload(served: Served) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(f"{served.url}/admin/reload", b"", headers, method="POST")
    with urllib.request.urlopen(request, timeout=20):
        pass


def test_asked_on_one_worker_or_by_a_signal_all_follow(
    served: Served, store: BundleStore, digests: list[str]
) -> None:
    assert all_serve(served, digests[0])
    store.activate(digests[1])
    assert {recommend(served.url)["model_version"] for _ in range(20)} == {digests[0]}
    reload(served)
    assert eventually(lambda: all_serve(served, digests[1]))
    store.activate(digests[0])
    served.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: all_serve(served, digests[0]))
    assert {recommend(served.url)["model_version"] for _ in range(20)} == {digests[0]}


def test_one_that_replaces_a_dead_worker_serves_what_the_others_do(
    served: Served, store: BundleStore, digests: list[str]
) -> None:
    """Though what should serve is broken: the bundle that has been good so far stays."""
    target = store.root / digests[1]
    BROKEN["half-written"](target)
    store.point("current", target)
    first = workers(served)
    os.kill(first[0]["pid"], signal.SIGKILL)
    pids = {worker["pid"] for worker in first}
    replaced: list[dict[str, Any]] = []

    def has_tried() -> bool:
        replaced[:] = [worker for worker in workers(served) if worker["pid"] not in pids]
        return any("current" in worker["failures"] for worker in replaced)

    assert eventually(has_tried, 60)
    assert replaced[0]["serves"] == {"current": digests[0]}
    assert "differs" in replaced[0]["failures"]["current"]
