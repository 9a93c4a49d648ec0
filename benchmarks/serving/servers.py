"""The services under test, each a process of its own on a free port, all with the same bundle."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.monitoring.ports import free_port
from benchmarks.peers.environment import ROOT, litserve_python

OURS = "bbqrec"
_REFERENCES = "benchmarks.serving.references"
_PATIENCE = 120.0  # seconds to start in


def _ours(bundle: Path, port: int) -> list[str]:
    start = "from service.process.cli import main; main()"
    return [sys.executable, "-c", start, str(bundle), "--port", str(port), "--provider", "cpu"]


def _module(name: str) -> Callable[[Path, int], list[str]]:
    module = f"{_REFERENCES}.{name}"
    return lambda bundle, port: [sys.executable, "-m", module, str(bundle), str(port)]


def _litserve(bundle: Path, port: int) -> list[str]:
    script = Path(__file__).with_name("references") / "litserve_batches.py"
    return [str(litserve_python()), str(script), str(bundle), str(port)]


COMMANDS: dict[str, Callable[[Path, int], list[str]]] = {
    OURS: _ours,
    "(a) FastAPI, torch eager": _module("eager"),
    "(b) FastAPI, ONNX Runtime": _module("onnx_each"),
    "(c) LitServe, ONNX Runtime": _litserve,
}


@contextmanager
def running(name: str, bundle: Path) -> Iterator[int]:
    """Start a service, yield its port once it answers, stop it and whatever it started."""
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen(
        COMMANDS[name](bundle.resolve(), port),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(name, port, process)
        yield port
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)


def ask(port: int, body: str) -> Any:
    """The answer to one request."""
    head = {"content-type": "application/json"}
    url = f"http://127.0.0.1:{port}/recommend"
    request = urllib.request.Request(url, body.encode(), head, method="POST")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def _wait(name: str, port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended at once, with status {process.returncode}")
        try:
            ask(port, json.dumps({"history": ["item-1"]}))
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{name} did not answer within {_PATIENCE:g} s")
