"""Requests leave nothing behind that only a collection would free: those are rare (server.py)."""

import http.client
import json
import os
import re
import signal
import time
from pathlib import Path

from benchmarks.reliability.program import Program, running
from tests.service.program import eventually

_START = """
import gc, signal, sys

def count(*_):
    print("in circles:", gc.collect(), file=sys.stderr, flush=True)

gc.disable()
signal.signal(signal.SIGUSR2, count)
from service.process.cli import main
main()
"""
_EVENT = {"id": "1", "type": "click", "user_id": "ada", "item_id": "item-1"}
_ASKED = {
    "a recommendation": ("POST", "/recommend", {"history": ["item-1"]}, 200),
    "of what a user did": ("POST", "/recommend", {"user_id": "ada"}, 200),
    "a field too many": ("POST", "/recommend", {"history": [], "what": 1}, 422),
    "no route": ("GET", "/nothing", None, 404),
    "another method": ("PUT", "/recommend", {}, 405),
    "an event": ("POST", "/events", {"events": [_EVENT]}, 200),
    "metrics": ("GET", "/metrics", None, 200),
    "a page": ("GET", "/", None, 200),
}


def test_requests_leave_nothing_in_circles(bundle_directory: Path, tmp_path: Path) -> None:
    kept = {"store_every": "0", "live": str(tmp_path / "live"), "events": str(tmp_path / "events")}
    with running(bundle_directory, "--provider", "cpu", start=_START, **kept) as program:
        ask_everything(program, 2)  # what is made once stays
        circles(program)
        ask_everything(program, 20)
        assert circles(program) == 0


def ask_everything(program: Program, times: int) -> None:
    """Each over a connection of its own, and one whose client does not wait."""
    for _ in range(times):
        for method, path, body, status in _ASKED.values():
            connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=10)
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert (path, answer.status) == (path, status)
            connection.close()
        left = http.client.HTTPConnection("127.0.0.1", program.port, timeout=10)
        left.request("POST", "/recommend", json.dumps({"history": ["item-1"]}))
        left.close()
    time.sleep(0.2)  # connections end


def circles(program: Program) -> int:
    """Objects that only this freed."""

    def found() -> list[str]:
        return re.findall(r"in circles: (\d+)", program.log.read_text(encoding="utf-8"))

    before = len(found())
    os.kill(program.process.pid, signal.SIGUSR2)
    assert eventually(lambda: len(found()) > before)
    return int(found()[-1])
