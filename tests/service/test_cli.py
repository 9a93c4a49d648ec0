"""`bbqrec-serve` as a person runs it."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from models.bundle import FILES, MANIFEST

PROGRAM = Path(sys.executable).with_name("bbqrec-serve")


def serve(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error:")
    assert all(word in last for word in words)


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
    assert_one_clear_line(serve(), "bundle", "Field required")
    assert_one_clear_line(serve(bundle_directory, "--provider", "tpu"), "provider")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_one_clear_line(serve(bundle_directory, "--port", port), f"127.0.0.1:{port}")


def test_help_reads_well() -> None:
    text = serve("--help").stdout
    for word in ("BUNDLE", "--provider", "BBQREC_REDIS_URL", "/recommend"):
        assert word in text


def test_it_answers_drains_and_stops_on_sigterm(bundle_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([PROGRAM, bundle_directory, "--port", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        assert wait_for_status(f"{url}/readyz", 200)
        request = urllib.request.Request(
            f"{url}/recommend",
            json.dumps({"history": ["item-1"]}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            assert len(json.load(response)["items"]) == 10
        process.send_signal(signal.SIGTERM)
        assert wait_for_status(f"{url}/readyz", 503)  # refused only after readiness said so
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def wait_for_status(url: str, status: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                found = response.status
        except urllib.error.HTTPError as error:
            found = error.code
            error.close()
        except OSError:
            found = None
        if found == status:
            return True
        time.sleep(0.02)
    return False
