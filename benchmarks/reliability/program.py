"""The service as a person runs it, on a free port, for a fault to be done to it."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environment import ROOT

_START = "from service.process.cli import main; main()"
_PATIENCE = 120.0  # seconds to start in


class Program:
    """A running service."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.port = int(self._wait(r"ready on http://[^\s,]*:(\d+)"))

    def memory(self) -> int:
        """Resident bytes of it and its workers."""
        pids = [self.process.pid, *self.workers()]
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(
            page * int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            for pid in pids
        )

    def workers(self) -> list[int]:
        """Processes it has started."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]

    def _wait(self, pattern: str) -> str:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            text = self.log.read_text(encoding="utf-8")
            if found := re.search(pattern, text):
                return found[1]
            if self.process.poll() is not None:
                raise RuntimeError(f"the service ended at once:\n{text}")
            time.sleep(0.05)
        raise RuntimeError(f"the service was not ready within {_PATIENCE:g} s")


@contextmanager
def running(bundle: Path, *options: str, start: str = _START, **settings: str) -> Iterator[Program]:
    """Start it with the settings of its environment; kill it at the end, unless it has stopped."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    environment |= {f"BBQREC_{name.upper()}": value for name, value in settings.items()}
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", start, str(bundle), "--port", "0", *options],
                cwd=ROOT,
                env=environment,
                stderr=stderr,
            )
        try:
            yield Program(process, log)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
