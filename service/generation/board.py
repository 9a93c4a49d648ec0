"""The board: what each worker serves, for any of them to tell.

A small file a worker in the folder that workers share; alone, a process reads what it posted.
"""

import os
from pathlib import Path

from pydantic import BaseModel


class Posted(BaseModel):
    """What one process serves."""

    pid: int
    serves: dict[str, str]  # role -> digest
    directories: dict[str, Path]  # role -> where that bundle lies
    failures: dict[str, str]  # role -> why what should have it does not
    changed_on_disk: bool


class Board:
    """Files of live processes in ``directory``; None: of this one only, in memory."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._own: Posted | None = None

    def post(self, posted: Posted) -> None:
        """Replace what this process posted before; a reader never sees half of it."""
        self._own = posted
        if self.directory is not None:
            path = self.directory / f"worker-{posted.pid}.json"
            partial = path.with_suffix(".partial")
            partial.write_text(posted.model_dump_json(), encoding="utf-8")
            partial.replace(path)

    def read(self) -> list[Posted]:
        """What every live process posted, by pid."""
        if self.directory is None:
            return [self._own] if self._own else []
        found = map(_read, self.directory.glob("worker-*.json"))
        alive = [posted for posted in found if posted and _alive(posted.pid)]
        return sorted(alive, key=lambda posted: posted.pid)


def _read(path: Path) -> Posted | None:
    try:
        return Posted.model_validate_json(path.read_bytes())
    except (OSError, ValueError):  # replaced or removed this moment
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
