"""MovieLens-100k for the demo: out of a package's wheel, or from the official archive.

The data may not be redistributed, so it is fetched, never shipped. The wheel of ``recbole`` 1.2.1
holds it; pip checks the pinned hash, and nothing of the package is installed or run.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from training.errors import UserError

WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
ARCHIVE_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
ARCHIVE_MD5 = "0e33842e24a9c977be4e0107933c0723"  # the checksum that GroupLens publishes
FILES = ("ml-100k.inter", "ml-100k.item")


def fetch_wheel(directory: Path) -> None:
    """Put ``ml-100k.inter`` and ``ml-100k.item`` (RecBole atomic files) into ``directory``."""
    with tempfile.TemporaryDirectory() as scratch:
        requirement = Path(scratch) / "requirement.txt"
        requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
        command = ["download", "--quiet", "--no-deps", "--require-hashes", "--dest", scratch]
        pip = [sys.executable, "-m", "pip", *command, "--requirement", str(requirement)]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"pip could not download {WHEEL}:\n{done.stderr.strip()}")
        wheel = next(Path(scratch).glob("*.whl"))
        _extract(wheel.read_bytes(), "recbole/dataset_example/ml-100k/", FILES, directory)


def fetch_archive(directory: Path) -> None:
    """Put ``u.data`` and ``u.item`` of the official archive into ``directory``."""
    try:
        with urllib.request.urlopen(ARCHIVE_URL, timeout=60) as response:
            content = response.read()
    except OSError as error:
        raise UserError(f"{ARCHIVE_URL} cannot be fetched: {error}") from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != ARCHIVE_MD5:
        raise UserError(f"{ARCHIVE_URL} is not the archive that was pinned: its MD5 differs")
    _extract(content, "ml-100k/", ("u.data", "u.item"), directory)


def _extract(archive: bytes, folder: str, names: tuple[str, ...], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        for name in names:
            (directory / name).write_bytes(files.read(folder + name))
