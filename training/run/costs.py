"""What a stage takes of the machine, and what it ran with."""

import contextlib
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("bbqrec", "torch", "lightning", "numpy", "polars", "onnxruntime", "faiss-cpu")
_PROCESS = Path("/proc/self")


def forget_peak() -> None:
    """The peak counts from here on, where the system can forget (Linux)."""
    with contextlib.suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")


def peak() -> int | None:
    """Bytes that this process held at most since then; None where the system does not tell."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", (_PROCESS / "status").read_text())
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def cpus() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of Python, of ours and of what computes."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
