"""`bbqrec-serve` as a person runs it."""

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks.reliability.sigterm import stopped
from models.contract.bundle import FILES, MANIFEST
from service.settings import Settings
from tests.service.program import (
    PROGRAM,
    assert_one_clear_line,
    recommend,
    serve,
    status_of,
    wait_for_status,
    wait_for_url,
)


@pytest.fixture
def copy(bundle_directory: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_directory, tmp_path / "bundle"))


def test_no_bundle_a_tampered_one_and_a_newer_one_are_refused(copy: Path, tmp_path: Path) -> None:
    assert_one_clear_line(serve(tmp_path / "none"), "no bundle")
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps({**manifest, "schema_version": 99}))
    assert_one_clear_line(serve(copy), "schema version 99", "upgrade")
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with (copy / FILES.ITEM_VECTORS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    assert_one_clear_line(serve(copy), FILES.ITEM_VECTORS, "SHA-256")


def test_faults_of_set_up_are_one_line(bundle_directory: Path) -> None:
    assert_one_clear_line(serve(), "BBQREC_BUNDLE", "Field required")
    assert_one_clear_line(serve(bundle_directory, "--provider", "tpu"), "BBQREC_PROVIDER")
    assert_one_clear_line(serve(bundle_directory, "--redis-url", "http://x"), "BBQREC_REDIS_URL")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_one_clear_line(serve(bundle_directory, "--port", port), f"127.0.0.1:{port}")


def test_a_setting_that_should_be_json_is_one_line(
    bundle_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBQREC_HISTORY_TYPES", "view,cart")
    assert_one_clear_line(serve(bundle_directory), "BBQREC_HISTORY_TYPES", "should be JSON")
    monkeypatch.undo()
    assert '["click", "view"]' in serve("--help").stdout


def test_a_gpu_that_is_absent_is_an_error_at_start(bundle_directory: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    done = serve(bundle_directory, "--provider", "cuda")
    assert_one_clear_line(done, "`cuda`", "CPUExecutionProvider")


def test_help_names_every_setting() -> None:
    text = serve("--help").stdout
    for word in ("bundle", "--provider", "/recommend"):
        assert word in text
    for name in Settings.model_fields:
        assert f"BBQREC_{name.upper()}" in text


def test_it_answers_drains_and_exits_with_zero_on_sigterm(
    bundle_directory: Path, tmp_path: Path
) -> None:
    """Over real sockets: no request is refused before readiness has said so."""
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen([PROGRAM, bundle_directory, "--port", "0"], stderr=stderr)
    try:
        url = wait_for_url(log)
        assert status_of(f"{url}/readyz") == 200
        assert len(recommend(url)["items"]) == 10
        assert status_of_upload(url, 3 * 2**20) == 413
        process.send_signal(signal.SIGTERM)
        assert wait_for_status(f"{url}/readyz", 503)
        assert len(recommend(url)["items"]) == 10
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def status_of_upload(url: str, size: int) -> int:
    """A caller that sends all before it reads sees the refusal, not a reset connection."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/recommend", b" " * size)
        return connection.getresponse().status


def test_no_accepted_request_is_lost_to_sigterm(bundle_directory: Path) -> None:
    """The short form of ``benchmarks.reliability.sigterm``."""
    for options in ((), ("--workers", "2")):
        found = stopped(bundle_directory, *options)
        assert found["answered"] > 20
        assert found["lost"] == found["status"] == 0
