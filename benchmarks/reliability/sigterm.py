"""SIGTERM under load: no request of a connection that was made may be lost."""

import contextlib
import http.client
import json
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.program import running
from benchmarks.reliability.rows import Row
from benchmarks.serving import drawn_bundle

_ITEMS = 2000
_CLIENTS = 8  # half of them keep their connection
_LOAD = 0.5  # seconds before the signal
_HEADERS = {"content-type": "application/json"}


def rows(times: int, *options: str) -> Iterator[Row]:
    """Stop it so often, each time under load."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch)
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        ends = [stopped(bundle, *options) for _ in range(times)]
    found = sum(ends, Counter[str]())
    text = f"{found['answered']} answered, {found['lost']} lost, {found['status']} other statuses"
    fault = " ".join(["SIGTERM under load", *options])
    kept = sum(not (end["lost"] or end["status"]) for end in ends)
    yield Row(fault, times, "0 accepted requests lost", kept, text)


def stopped(bundle: Path, *options: str) -> Counter[str]:
    """What became of the requests of one such end: answered, status, lost or refused."""
    found: Counter[str] = Counter()
    with running(bundle, *options, drain="0.5") as program:
        clients = [
            threading.Thread(target=_ask, args=(program.port, found, n % 2 == 0))
            for n in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        time.sleep(_LOAD)
        program.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join()
        if status := program.process.wait(30):
            raise RuntimeError(f"it ended with status {status}")
    return found


def _ask(port: int, found: "Counter[str]", keep: bool) -> None:
    """One request after the other, until no connection is to be had."""
    body = json.dumps({"history": ["item-1"]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while True:
        if connection.sock is None:
            try:
                connection.connect()
            except OSError:  # refused: nothing was accepted
                found["refused"] += 1
                return
        try:
            connection.request("POST", "/recommend", body, _HEADERS)
            answer = connection.getresponse()
            answer.read()
            found["answered" if answer.status == 200 else "status"] += 1
        except (OSError, http.client.HTTPException):
            found["lost"] += 1
            connection.close()
        if not keep:
            with contextlib.suppress(OSError):
                connection.close()
