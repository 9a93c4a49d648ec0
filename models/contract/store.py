"""Bundles of one output folder, ``bundles/<digest>/``, and links to those that serve.

``current`` is a symbolic link to the bundle that answers; ``canary`` and ``shadow`` may point to
others. A link is replaced by renaming another over it, so that a reader finds the old bundle or
the new one and nothing between. A service that has a bundle open keeps it: what is removed from the
folder stays readable to whoever has mapped it.
"""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from models.contract.manifest import MANIFEST, BundleError, Manifest, read_manifest

Role = Literal["current", "canary", "shadow"]
ROLES: tuple[Role, ...] = ("current", "canary", "shadow")
BUNDLES = "bundles"
_PARTIAL = ".partial-"
_DAY = 86_400  # seconds
_SHORTEST = 4  # characters of a digest that a person must type


class Stored(NamedTuple):
    """A bundle of the folder."""

    digest: str
    directory: Path
    manifest: Manifest
    roles: tuple[Role, ...]


class BundleStore:
    """The bundles under an output folder."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.root = output / BUNDLES

    def bundles(self) -> list[Stored]:
        """All of them, newest first; what is no bundle of this release is left out."""
        found = []
        for directory in self.root.glob("[0-9a-f]*"):
            try:
                manifest, digest = read_manifest(directory)
            except BundleError:
                continue
            found.append(Stored(digest, directory, manifest, self._roles_of(directory)))
        return sorted(found, key=lambda stored: stored.manifest.created_at, reverse=True)

    def find(self, role: Role = "current") -> Path | None:
        """Where the bundle of this role lies, None where there is none."""
        link = self.output / role
        return link.resolve() if link.is_symlink() and link.exists() else None

    @contextmanager
    def new(self) -> Iterator[Path]:
        """A folder to write a bundle into, which gets its name when all is written.

        Nothing is left of it where writing fails, or leaves no manifest. What was left of one that
        was killed goes.
        """
        self._sweep()
        partial = self.root / f"{_PARTIAL}{uuid.uuid4().hex}"
        partial.mkdir(parents=True)
        try:
            yield partial
            if (partial / MANIFEST).exists():
                self._keep(partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def activate(self, digest: str, role: Role = "current") -> Stored:
        """Have the bundle whose digest starts so serve. Raises BundleError for none, or several."""
        found = [stored for stored in self.bundles() if stored.digest.startswith(digest)]
        if len(digest) < _SHORTEST or len(found) != 1:
            known = ", ".join(stored.digest[:12] for stored in self.bundles()) or "none"
            raise BundleError(
                f"{len(found)} bundles of {self.output} have a digest that starts with {digest!r} "
                f"({_SHORTEST} characters at least); there are: {known}"
            )
        self.point(role, Path(BUNDLES) / found[0].directory.name)
        return found[0]._replace(roles=self._roles_of(found[0].directory))

    def point(self, role: Role, target: Path) -> None:
        """Move a link, by one rename, whatever is there: ``activate`` looks before."""
        beside = self.output / f".{role}-{uuid.uuid4().hex}"
        beside.symlink_to(target)
        beside.replace(self.output / role)

    def retire(self, role: Role) -> None:
        """Nothing has this role any more."""
        (self.output / role).unlink(missing_ok=True)

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest ``keep`` and those that have a role; digests of the removed."""
        removed = []
        for stored in self.bundles()[keep:]:
            if self._roles_of(stored.directory):  # now: somebody may have given it one meanwhile
                continue
            # Out of the list at once: what is half removed, or left by a kill, is no bundle.
            gone = stored.directory.rename(self.root / f"{_PARTIAL}{uuid.uuid4().hex}")
            shutil.rmtree(gone)
            removed.append(stored.digest)
        return removed

    def _sweep(self) -> None:
        """Nobody writes to a folder any more that has not changed for a day."""
        for left in self.root.glob(f"{_PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):  # whoever wrote it has just finished
                if time.time() - left.stat().st_mtime > _DAY:
                    shutil.rmtree(left, ignore_errors=True)

    def _roles_of(self, directory: Path) -> tuple[Role, ...]:
        resolved = directory.resolve()
        return tuple(role for role in ROLES if self.find(role) == resolved)

    def _keep(self, partial: Path) -> None:
        digest = read_manifest(partial)[1]
        for path in partial.iterdir():
            path.chmod(0o444)  # for every user of a container, and for none to write
            to_disk(path)
        to_disk(partial)
        if not (self.root / digest).exists():
            partial.rename(self.root / digest)
        to_disk(self.root)


def put_in_place(partial: Path, path: Path) -> None:
    """A file that is written, over what is there or not: whole at any moment, and on disk."""
    to_disk(partial)
    partial.replace(path)
    to_disk(path.parent)


def to_disk(path: Path) -> None:
    """What is in a file, or the names that are in a folder: a power cut must not leave a link to
    files that are not there.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
