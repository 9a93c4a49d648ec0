"""A service that was started before there is anything to serve."""

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.contract.standing import Standing
from models.contract.store import BundleStore
from tests.service.program import PROGRAM, eventually, recommend, status_of


@pytest.fixture
def url(store: BundleStore, tmp_path: Path) -> Iterator[str]:
    """Of two workers that wait."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        str(PROGRAM),
        str(store.output),
        "--port",
        str(port),
        "--workers",
        "2",
        "--provider",
        "cpu",
    ]
    environment = {**os.environ, "BBQREC_WAIT": "true", "BBQREC_DRAIN": "0"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env=environment)
    url = f"http://127.0.0.1:{port}"
    assert eventually(lambda: answers(url)), (tmp_path / "log").read_text()
    yield url
    process.terminate()
    process.wait(30)


def answers(url: str) -> bool:
    try:
        return status_of(f"{url}/livez") == 200
    except OSError:
        return False


def training(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/page/training", timeout=5) as response:
        found: dict[str, Any] = json.load(response)
    return found


def test_it_says_so_and_how_far_the_training_is_and_then_serves(
    url: str, store: BundleStore, digests: list[str]
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        recommend(url)
    assert refused.value.status == 503
    assert refused.value.headers["retry-after"]
    assert refused.value.headers["content-type"] == "application/problem+json"
    refused.value.close()
    assert [status_of(f"{url}/{path}") for path in ("readyz", "livez", "", "docs")] == [
        503, 200, 200, 200,
    ]  # fmt: skip
    assert status_of(f"{url}/page/training") == 404

    standing = Standing(stage="fit", title="histories to a model", number=4, of=8, share=0.25)
    standing.write(store.output)
    told = training(url)
    assert (told["stage"], told["number"], told["of"], told["share"]) == ("fit", 4, 8, 0.25)
    assert 0 <= told["seconds"] < 60

    store.activate(digests[0])
    assert eventually(lambda: all(status_of(f"{url}/readyz") == 200 for _ in range(20))), "a worker"
    assert recommend(url)["model_version"] == digests[0]


def test_what_tells_nothing_that_can_be_read_is_as_none(tmp_path: Path) -> None:
    assert Standing.read(tmp_path) is None
    (tmp_path / "training.json").write_text('{"stage": "fit"')
    assert Standing.read(tmp_path) is None
