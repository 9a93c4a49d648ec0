"""Where a peer runs: an environment of its own, made on first use.

RecTools pins an older NumPy than ours, so the two cannot be installed side by side; they talk
through files.
"""

import fcntl
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "artifacts" / "peers"
RECTOOLS = "rectools[torch]==0.19.0"
_CONSTRAINTS = Path(__file__).with_name("rectools-constraints.txt")
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def rectools_python() -> Path:
    """The Python that has RecTools, below ``artifacts/peers/rectools``; installs it if need be."""
    PEERS.mkdir(parents=True, exist_ok=True)
    directory = PEERS / "rectools"
    with (PEERS / "rectools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several jobs may need it at once
        if not (directory / "installed").exists():
            _install(directory)
            (directory / "installed").write_text(RECTOOLS + "\n")
    return directory / "bin" / "python"


def _install(directory: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
    build = f"torch=={torch.__version__}"  # the very build that our side runs on
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    index = ["--extra-index-url", _TORCH_INDEX, "--retries", "1"]
    subprocess.run([*pip, *index, build], check=True)
    subprocess.run([*pip, "-c", str(_CONSTRAINTS), build, RECTOOLS], check=True)
