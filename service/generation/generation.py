"""A generation: one bundle in service, with everything that answers a request.

A request leases one, once, and ends with it. One that is retired closes when its last lease ends.
"""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from models.contract.bundle import Bundle
from models.contract.manifest import MANIFEST
from service.catalogue.titles import Titles
from service.engine.batcher import Batcher
from service.generation.live_follower import LiveFollower
from service.generation.recommender import Recommender
from service.generation.showing import Showing
from service.generation.similar import Similar


class Stamp(NamedTuple):
    """What tells a file that was written over from the one that was opened."""

    inode: int
    bytes: int
    changed_ns: int


class Generation:
    """Bundle, live items, engine and its queue. Nothing about a model lives outside one."""

    def __init__(self, recommender: Recommender, live: LiveFollower) -> None:
        self.recommender = recommender
        self.live = live
        self.similar = Similar(live.items)
        self.titles = Titles(live.items)
        self.bundle: Bundle = recommender.bundle
        self.batcher: Batcher = recommender.batcher
        self.showing = Showing(self.bundle, recommender.metrics)
        self.leases = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._stamps = stamps(self.bundle)

    async def start(self) -> None:
        """Begin background work."""
        await self.live.start()
        await self.batcher.start()

    async def close(self) -> None:
        """Wait for the last lease, then end background work."""
        await self._unused.wait()
        self.showing.close()
        await self.batcher.close()
        await self.live.close()

    def lease(self) -> "Lease":
        """For as long as a request takes."""
        return Lease(self)

    def changed_on_disk(self) -> bool:
        """Whether somebody wrote over a file of the bundle: what is mapped may be anything now."""
        now = stamps(self.bundle)
        return any(now[name] not in (None, stamp) for name, stamp in self._stamps.items())

    def taken(self) -> None:
        """A lease begins."""
        self.leases += 1
        self._unused.clear()

    def given_back(self) -> None:
        """A lease ends."""
        self.leases -= 1
        if not self.leases:
            self._unused.set()


class Lease:
    """``async with registry.lease() as generation``."""

    __slots__ = ("generation",)

    def __init__(self, generation: Generation) -> None:
        self.generation = generation

    async def __aenter__(self) -> Generation:
        self.generation.taken()
        return self.generation

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.generation.given_back()


def stamps(bundle: Bundle) -> dict[str, Stamp | None]:
    """Of every file, None where it is gone: removing a bundle harms nobody who has it open."""
    return {name: _stamp(bundle.directory / name) for name in (*bundle.manifest.files, MANIFEST)}


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns)
