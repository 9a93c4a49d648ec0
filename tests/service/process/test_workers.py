"""`bbqrec-serve --workers 2` as a person runs it."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest

from models.contract.bundle import FILES
from tests.service.program import (
    PROGRAM,
    assert_one_clear_line,
    ended,
    eventually,
    recommend,
    serve,
    status_of,
    wait_for_status,
    wait_for_url,
)


class Served:
    """Two workers behind one port, or as many as there are to be."""

    def __init__(
        self,
        bundle: Path,
        log: Path,
        program: Sequence[str | Path] = (PROGRAM,),
        workers: int = 2,
    ) -> None:
        self.log = log
        with log.open("w") as stderr:
            options = ["--port", "0", "--workers", str(workers), "--provider", "cpu"]
            command: list[str | Path] = [*program, bundle, *options]
            self.process = subprocess.Popen(command, stderr=stderr, env=os.environ | SLOW_DRAIN)
        self.url = wait_for_url(log)

    def workers(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(pid) for pid in path.read_text().split()]
        return [pid for pid in children if "resource_tracker" not in _command(pid)]

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as response:
            found = re.search(rf"^{re.escape(name)} (\S+)$", response.read().decode(), re.M)
        assert found is not None, name
        return float(found[1])


def assert_it_leaves_nothing_behind(served: Served) -> None:
    """A parent that is killed."""
    children = served.workers()
    folder = _shared_folder(children)
    assert folder.exists()
    served.process.kill()
    served.process.wait()
    assert eventually(lambda: ended(children))
    assert not folder.exists()


def _shared_folder(pids: Sequence[int]) -> Path:
    """What processes of one service tell each other is there."""
    mapped = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in pids)
    found = re.search(r"/\S+/bbqrec-[^/]+/\S+\.db", mapped)
    assert found is not None
    return Path(found[0]).parent


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


SLOW_DRAIN = {"BBQREC_DRAIN": "1"}
ANSWERED = 'bbqrec_requests_total{route="/recommend",status="200"}'


CANNOT_START = """
import errno
import os

from service.process.child import Child
from service.process.cli import main

start, starts = Child.start, []


def fail_once(child):
    starts.append(child)
    if len(starts) == {number}:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    start(child)


if __name__ == "__main__":
    Child.start = fail_once
    main()
"""


SPAWNS = """
from multiprocessing.context import SpawnProcess

from service.process import child
from service.process.cli import main

if __name__ == "__main__":
    child._Process = SpawnProcess
    main()
"""


def cannot_start(number: int, folder: Path) -> list[str | Path]:
    """The program, on a machine that has no room for the process which it starts so late."""
    program = folder / "cannot_start.py"
    program.write_text(CANNOT_START.format(number=number))
    return [sys.executable, program]


@contextlib.contextmanager
def started(
    bundle: Path, log: Path, program: Sequence[str | Path] = (PROGRAM,), workers: int = 2
) -> Iterator[Served]:
    made = Served(bundle, log, program, workers)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def served(bundle_directory: Path, tmp_path: Path) -> Iterator[Served]:
    """Of a test's own, which may end them."""
    with started(bundle_directory, tmp_path / "log") as made:
        yield made


@pytest.fixture(scope="module")
def lasting(bundle_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For tests that leave them as they were."""
    with started(bundle_directory, tmp_path_factory.mktemp("lasting") / "log") as made:
        yield made


def test_any_worker_tells_of_all_and_one_that_dies_is_replaced(served: Served) -> None:
    first = served.workers()
    assert len(first) == 2
    for _ in range(20):
        assert len(recommend(served.url)["items"]) == 10
    assert all(served.metric(ANSWERED) == 20 for _ in range(10))
    assert served.metric("bbqrec_workers") == 2
    # The scrape alone; the one before it may still be on its way out of the other worker.
    assert eventually(lambda: served.metric("bbqrec_requests_in_flight") == 1)
    assert served.metric("bbqrec_queue_depth") == 0
    assert served.metric("bbqrec_provider_info" + '{provider="onnx-cpu"}') == 1
    memory = served.metric("process_resident_memory_bytes")
    assert memory > 1.5 * _resident(first[0])

    os.kill(first[0], signal.SIGKILL)
    assert eventually(lambda: served.log.read_text().count("serving tiny") == 3)
    assert eventually(lambda: served.metric("bbqrec_workers") == 2)
    assert served.metric(ANSWERED) == 20  # what the dead one counted is not forgotten
    assert recommend(served.url)["items"]
    assert len(set(served.workers()) - set(first)) == 1


def test_one_that_cannot_be_started_again_is_tried_later(
    bundle_directory: Path, tmp_path: Path
) -> None:
    with started(bundle_directory, tmp_path / "log", cannot_start(3, tmp_path)) as served:
        os.kill(served.workers()[0], signal.SIGKILL)
        assert eventually(lambda: "a worker cannot be started" in served.log.read_text())
        assert recommend(served.url)["items"]
        assert eventually(lambda: served.log.read_text().count("serving tiny") == 3)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=20) == 0


def test_where_there_is_a_gpu_they_are_spawned_and_do_the_same(
    bundle_directory: Path, tmp_path: Path
) -> None:
    program = tmp_path / "spawns.py"
    program.write_text(SPAWNS)
    with started(bundle_directory, tmp_path / "log", [sys.executable, program]) as served:
        assert all("spawn_main" in _command(pid) for pid in served.workers())
        test_any_worker_tells_of_all_and_one_that_dies_is_replaced(served)


def test_where_not_all_can_be_started_none_is(bundle_directory: Path, tmp_path: Path) -> None:
    program = cannot_start(2, tmp_path)
    done = serve(bundle_directory, "--port", "0", "--workers", "2", program=program)
    assert_one_clear_line(done, "Resource temporarily unavailable")


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_they_drain_together_and_exit_with_zero(served: Served) -> None:
    served.process.send_signal(signal.SIGTERM)
    assert wait_for_status(f"{served.url}/readyz", 503)
    assert recommend(served.url)["items"]
    assert served.process.wait(timeout=20) == 0
    assert "Traceback" not in served.log.read_text()
    assert served.log.read_text().count("stopped") == 2


def test_a_parent_that_is_killed_leaves_no_worker_behind(served: Served) -> None:
    assert_it_leaves_nothing_behind(served)


def test_a_bundle_that_cannot_be_served_is_said_once(
    bundle_directory: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle_directory, tmp_path / "bundle"))
    (copy / FILES.CATALOGUE).write_text("")
    done = serve(copy, "--workers", "2", "--port", "0")
    assert_one_clear_line(done, FILES.CATALOGUE, "its size differs")
    assert done.stderr.count("error:") == 1


def test_readiness_is_any_workers(lasting: Served) -> None:
    assert all(status_of(f"{lasting.url}/readyz") == 200 for _ in range(10))


def test_connections_that_stay_are_spread_over_the_workers(lasting: Served) -> None:
    """Whichever woke up first took all that waited: in 3 of 9 runs one worker had every one."""
    before = [_sockets(pid) for pid in lasting.workers()]
    clients = [http.client.HTTPConnection(lasting.url.removeprefix("http://")) for _ in range(16)]
    drawn = set()  # of each process, for the ids of its requests
    for client in clients:
        client.request("GET", "/livez")
        answer = client.getresponse()
        assert answer.read()
        drawn.add(answer.headers["x-request-id"][:20])
    after = [_sockets(pid) for pid in lasting.workers()]
    taken = [len(now - then) for now, then in zip(after, before, strict=True)]
    for client in clients:
        client.close()
    assert sum(taken) == 16
    assert min(taken) >= 4
    assert len(drawn) == 2


def _sockets(pid: int) -> set[str]:
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed again meanwhile
            found.add(str(file.readlink()))
    return {link for link in found if "socket:" in link}


def test_a_hangup_is_for_all_workers_and_ends_none(lasting: Served) -> None:
    workers = lasting.workers()
    lasting.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: lasting.log.read_text().count("reload") == 2)
    assert lasting.workers() == workers
    assert recommend(lasting.url)["items"]


HANGS = """
import time

from service.http.routes import router
from service.process.cli import main


@router.get("/hang")
async def hang() -> None:
    time.sleep(600)


if __name__ == "__main__":
    main()
"""


def test_a_worker_whose_event_loop_stands_still_is_replaced(
    bundle_directory: Path, tmp_path: Path
) -> None:
    """Its threads go on, and answer pings. The other worker serves whoever comes meanwhile."""
    program = tmp_path / "hangs.py"
    program.write_text(HANGS)
    with mock.patch.dict(os.environ, {"BBQREC_HANG_TIMEOUT": "3"}):
        served = Served(bundle_directory, tmp_path / "log", [sys.executable, program])
    try:
        before = served.workers()
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(f"{served.url}/hang", timeout=0.5)
        for _ in range(10):
            assert recommend(served.url)["items"]
        assert eventually(lambda: "stands still" in served.log.read_text())
        assert eventually(lambda: served.log.read_text().count("serving tiny") == 3)
        assert len(set(served.workers()) & set(before)) == 1
        assert recommend(served.url)["items"]
    finally:
        served.process.kill()
        served.process.wait()
