"""Where a peer runs: an environment of its own, made on first use.

RecTools pins an older NumPy than ours, LitServe brings a FastAPI of its own: they cannot be
installed beside ours, and talk to it through files and HTTP.
"""

import fcntl
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "artifacts" / "peers"
RECTOOLS = "rectools[torch]==0.19.0"
LITSERVE = "litserve==0.2.19"
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def rectools_python() -> Path:
    """The Python that has RecTools, below ``artifacts/peers/rectools``; installs it if need be."""
    build = f"torch=={torch.__version__}"  # the very build that our side runs on
    return _python(
        "rectools",
        ["--extra-index-url", _TORCH_INDEX, "--retries", "1", build],
        ["-c", _constraints("rectools"), build, RECTOOLS],
    )


def litserve_python() -> Path:
    """The Python that has LitServe, ONNX Runtime and what reads a bundle."""
    needed = [LITSERVE, "onnxruntime", "safetensors", "uvloop", "httptools"]
    return _python("litserve", ["-c", _constraints("litserve"), *needed])


def _constraints(name: str) -> str:
    return str(Path(__file__).with_name(f"{name}-constraints.txt"))


def _python(name: str, *installations: list[str]) -> Path:
    """The Python of environment ``name``, made by these calls of pip where it is not there yet."""
    PEERS.mkdir(parents=True, exist_ok=True)
    directory, marks = PEERS / name, str(installations)
    python = directory / "bin" / "python"
    with (PEERS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several jobs may need it at once
        if not (directory / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
            for arguments in installations:
                pip = [str(python), "-m", "pip", "install", "--quiet", *arguments]
                subprocess.run(pip, check=True)
            (directory / "installed").write_text(marks + "\n")
    return python
