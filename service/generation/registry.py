"""The registry: which generations are in service, and which of them answers a request.

``current`` answers. ``canary`` takes a share of the traffic, sticky by a key of the request.
``shadow`` computes what others are answered, and is only compared. Each is a pointer to one
generation: to change it is one assignment, and requests in flight keep what they leased.
"""

import asyncio
import ctypes
import random
import time
from hashlib import blake2b
from typing import Literal

from models.contract.store import Role
from service.events.record import Split
from service.generation.generation import Generation, Lease
from service.metrics import Metrics, Serving


class NotReadyError(Exception):
    """No model is in service yet, or no longer."""


class Registry:
    """Generations by their role."""

    def __init__(self, metrics: Metrics, canary_share: float = 0.0) -> None:
        self.metrics = metrics
        self.canary_share = canary_share
        self._by_role: dict[Role, Generation] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, role: Role) -> Generation | None:
        """What has this role."""
        return self._by_role.get(role)

    def roles(self) -> dict[Role, Generation]:
        """Whatever is in service."""
        return dict(self._by_role)

    def role_of(self, generation: Generation) -> Literal["current", "canary"]:
        """In which role one that was leased answers. A canary that is the same bundle is none."""
        if generation is self._by_role.get("current"):
            return "current"
        return "canary" if generation is self._by_role.get("canary") else "current"

    def lease(self, key: str | None = None) -> Lease:
        """One generation, to the end of the ``async with``. Raises NotReadyError where none is.

        The same ``key`` gets the same one for as long as roles and shares stay. When the share of a
        canary changes, only so many move as it grows or shrinks by; another canary has others.
        """
        canary = self._by_role.get("canary")
        if canary is not None and place(key, canary.bundle.digest) < self.canary_share:
            return Lease(canary)
        return Lease(self._current())

    def split(self) -> Split | None:
        """Who answers now; None where nobody does. A canary that is the same bundle is none."""
        current, canary = self._by_role.get("current"), self._by_role.get("canary")
        if current is None:
            return None
        digest = current.bundle.digest
        if canary is None or canary.bundle.digest == digest:
            return Split(time.time(), digest)
        return Split(time.time(), digest, canary.bundle.digest, self.canary_share)

    def lease_role(self, role: str) -> Lease:
        """Whoever has it. Raises NotReadyError where nobody has."""
        for name, generation in self._by_role.items():
            if name == role:
                return Lease(generation)
        raise NotReadyError(f"nothing serves as {role[:20]!r}")

    def lease_current(self) -> Lease:
        """What answers most. Raises NotReadyError."""
        return Lease(self._current())

    def put(self, role: Role, generation: Generation | None) -> None:
        """Change who has a role; the one before closes, unless it has another role."""
        before = self._by_role.pop(role, None)
        if generation is not None:
            self._by_role[role] = generation
        self._tell()
        if before is not None and before not in self._by_role.values():
            task = asyncio.create_task(_end(before))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def position(self) -> int:
        """Of the log of changes: all up to it is in the live items of a generation in service."""
        return max((found.live.position for found in self._by_role.values()), default=0)

    async def close(self) -> None:
        """Nothing is in service any more; returns when the last lease has ended."""
        for role in tuple(self._by_role):
            self.put(role, None)
        await asyncio.gather(*self._closing)

    def _current(self) -> Generation:
        try:
            return self._by_role["current"]
        except KeyError:
            raise NotReadyError("no model is loaded") from None

    def _tell(self) -> None:
        self.metrics.serve({role: _named(found) for role, found in self._by_role.items()})


async def _end(generation: Generation) -> None:
    """Close it, and give back its memory now: what is in an allocator's hands would stay until it
    is needed again. Nothing of a generation is in a circle (tests/service/generation).
    """
    await generation.close()
    del generation
    await asyncio.to_thread(give_back)


def give_back() -> None:
    """Memory that is free, to the system."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # glibc's
        trim(0)


def _named(generation: Generation) -> Serving:
    engine, bundle = generation.batcher.engine, generation.bundle
    return Serving(
        digest=bundle.digest,
        name=bundle.manifest.name,
        provider=engine.provider,
        retriever=engine.retriever,
        items=len(bundle.catalogue),
    )


def place(key: str | None, salt: str) -> float:
    """In [0, 1), the same for the same key: another with another salt, or the same few would have
    every canary.
    """
    if key is None:
        return random.random()
    hashed = blake2b(key.encode("utf-8", "replace"), digest_size=8, person=salt.encode()[:16])
    return int.from_bytes(hashed.digest()) / 2**64
