"""`bbqrec-serve --workers 2` with one engine for both, as a person runs it."""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.contract.store import BundleStore
from tests.service.process.test_workers import (
    Served,
    assert_it_leaves_nothing_behind,
    cannot_start,
    started,
)
from tests.service.program import (
    assert_one_clear_line,
    ended,
    eventually,
    recommend,
    serve,
    status_of,
    wait_for_status,
)


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BBQREC_ENGINE", "shared")


@pytest.fixture
def served(bundle_directory: Path, tmp_path: Path) -> Iterator[Served]:
    with started(bundle_directory, tmp_path / "log") as made:
        yield made


def engine_of(served: Served) -> int:
    """The process that was started first."""
    return served.workers()[0]


def refused(url: str) -> tuple[int, str | None]:
    """The status of a request, and when to try again."""
    try:
        recommend(url)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["retry-after"]
    return 200, None


def test_the_engine_alone_has_the_model_and_another_takes_its_place(served: Served) -> None:
    workers = served.workers()
    assert len(workers) == 3
    engine = engine_of(served)
    before = recommend(served.url)["items"]
    served.process.send_signal(signal.SIGSTOP)  # or another would be there at once
    os.kill(engine, signal.SIGKILL)
    assert wait_for_status(f"{served.url}/readyz", 503)
    assert refused(served.url) == (503, "1")
    served.process.send_signal(signal.SIGCONT)
    assert wait_for_status(f"{served.url}/readyz", 200)
    assert eventually(lambda: refused(served.url)[0] == 200)
    assert eventually(lambda: all(status_of(f"{served.url}/readyz") == 200 for _ in range(10)))
    assert recommend(served.url)["items"] == before
    assert set(served.workers()) >= set(workers) - {engine}  # they went on
    assert served.log.read_text().count("serving tiny") == 2  # with the same generations
    assert served.log.read_text().count("another in 0s") == 1


def test_one_worker_may_have_it_beside_itself(bundle_directory: Path, tmp_path: Path) -> None:
    with started(bundle_directory, tmp_path / "log", workers=1) as served:
        engine, worker = served.workers()
        assert served.metric("bbqrec_provider_info" + '{provider="onnx-cpu"}') == 1
        before = recommend(served.url)["items"]
        os.kill(engine, signal.SIGKILL)
        assert eventually(lambda: engine not in served.workers() and len(served.workers()) == 2)
        assert eventually(lambda: refused(served.url)[0] == 200)
        assert recommend(served.url)["items"] == before
        assert worker in served.workers()


def test_one_that_cannot_be_started_again_is_tried_later(
    bundle_directory: Path, tmp_path: Path
) -> None:
    with started(bundle_directory, tmp_path / "log", cannot_start(4, tmp_path)) as served:
        os.kill(engine_of(served), signal.SIGKILL)
        assert eventually(lambda: "cannot be started" in served.log.read_text())
        assert eventually(lambda: refused(served.url)[0] == 200)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=20) == 0


def test_one_that_stands_still_is_replaced(
    bundle_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBQREC_HANG_TIMEOUT", "2")
    with started(bundle_directory, tmp_path / "log") as served:
        os.kill(engine_of(served), signal.SIGSTOP)
        assert eventually(lambda: "the engine process stands still" in served.log.read_text())
        assert eventually(lambda: refused(served.url)[0] == 200)


def test_a_worker_that_dies_leaves_the_engine_as_it_was(served: Served) -> None:
    engine, *workers = served.workers()
    os.kill(workers[0], signal.SIGKILL)
    assert eventually(lambda: served.log.read_text().count("serving tiny") == 3)
    for _ in range(20):
        assert recommend(served.url)["items"]
    assert served.workers()[0] == engine
    assert "engine process" not in served.log.read_text()


@pytest.mark.parametrize("everybody", [True, False], ids=["all are told", "the parent is told"])
def test_the_engine_ends_last(served: Served, everybody: bool) -> None:
    """As systemd does it, and as Docker does."""
    pids = served.workers()
    served.process.send_signal(signal.SIGTERM)
    for pid in pids if everybody else ():
        os.kill(pid, signal.SIGTERM)
    assert wait_for_status(f"{served.url}/readyz", 503)
    for _ in range(5):
        assert recommend(served.url)["items"]
        time.sleep(0.05)
    assert served.process.wait(timeout=20) == 0
    assert "Traceback" not in served.log.read_text()
    assert "killed" not in served.log.read_text()
    assert ended(pids)


def test_an_interrupt_is_for_the_workers(served: Served) -> None:
    for pid in served.workers():
        os.kill(pid, signal.SIGINT)
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(timeout=20) == 0
    assert "engine process died" not in served.log.read_text()


def test_a_parent_that_is_killed_leaves_no_engine_behind(served: Served) -> None:
    assert_it_leaves_nothing_behind(served)


def test_what_the_engine_cannot_have_is_one_line(bundle_directory: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    done = serve(bundle_directory, "--workers", "2", "--port", "0", "--provider", "cuda")
    assert_one_clear_line(done, "`cuda`", "CPUExecutionProvider")


def workers_of(served: Served) -> list[dict[str, Any]]:
    """As they tell of themselves."""
    with urllib.request.urlopen(f"{served.url}/model", timeout=5) as response:
        return list(json.load(response)["workers"])


def test_another_bundle_is_swapped_in(
    store: BundleStore, digests: list[str], tmp_path: Path
) -> None:
    store.activate(digests[0])
    with started(store.output, tmp_path / "log") as served:
        store.activate(digests[1])
        wanted = {"current": digests[1]}
        assert eventually(lambda: all(each["serves"] == wanted for each in workers_of(served)))
        assert recommend(served.url)["model_version"] == digests[1]


DEADLY = """
import os
import signal

from service.generation import failures
from service.process import engine
from service.process.cli import main

warm_engine, failures._AGAIN = engine.warm_engine, 1.0


def make(bundle, settings, live):
    if bundle.digest == "{digest}":
        os.kill(os.getpid(), signal.SIGKILL)
    return warm_engine(bundle, settings, live)


engine.warm_engine = make
if __name__ == "__main__":
    main()
"""


def test_a_bundle_that_ends_the_engine_is_refused_after_a_while(
    store: BundleStore, digests: list[str], tmp_path: Path
) -> None:
    """As where there is no memory for another. Until somebody asks for it."""
    program = tmp_path / "deadly.py"
    program.write_text(DEADLY.format(digest=digests[1]))
    store.activate(digests[0])
    with started(store.output, tmp_path / "log", [sys.executable, program]) as served:

        def deaths() -> int:
            return served.log.read_text().count("engine process died")

        store.activate(digests[1])
        assert eventually(
            lambda: all("3 times" in str(each["failures"]) for each in workers_of(served)), 60
        )
        assert deaths() == 3
        assert eventually(lambda: refused(served.url)[0] == 200)
        assert recommend(served.url)["model_version"] == digests[0]
        served.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: deaths() > 3)
