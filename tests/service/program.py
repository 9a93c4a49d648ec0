"""`bbqrec-serve` as a program that tests start, ask and stop."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("bbqrec-serve")


def serve(
    *arguments: str | Path, program: Sequence[str | Path] = (PROGRAM,)
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error:")
    assert all(word in last for word in words)


def recommend(url: str) -> dict[str, Any]:
    body = json.dumps({"history": ["item-1"]}).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/recommend", body, headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def wait_for_url(log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := re.search(r"ready on (http[^\s,]+)", log.read_text()):
            return found[1]
        time.sleep(0.02)
    raise TimeoutError(log.read_text())


def ended(pids: Iterable[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def wait_for_status(url: str, status: int) -> bool:
    return eventually(lambda: status_of(url) == status, 10)


def eventually(holds: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
