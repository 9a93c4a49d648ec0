"""The follower: keeps the registry as the output folder says, without anybody waiting for it.

It looks at the folder's links, loads beside what serves, and changes one pointer. A bundle that
fails leaves the old one serving; why it failed is in ``/model``, in the log and in a metric.
"""

import asyncio
import contextlib
import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from models.contract.bundle import BundleError
from models.contract.manifest import Manifest
from models.contract.store import ROLES, Role
from service.catalogue.change import Change
from service.generation.beside import beside
from service.generation.board import Board, Posted
from service.generation.failures import Failures
from service.generation.generation import Generation
from service.generation.load import load_generation, verify_mapped
from service.generation.registry import Registry, give_back
from service.generation.source import Source
from service.log.log import Log, LogError
from service.metrics import Metrics
from service.runtime import ProviderError
from service.settings import Settings

log = logging.getLogger("bbqrec")
_LOOK = 0.5  # seconds between looks for a first bundle
_CATCH_UP = 10.0  # seconds, after all that was in the log has been read once
Load = Callable[[Path, Settings, Metrics], Generation]


class Follower:
    """Brings generations into service as the source changes. serves: told of what is current."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        metrics: Metrics,
        load: Load = load_generation,
        board: Board | None = None,
        changes: Log[Change] | None = None,
        serves: Callable[[Manifest], None] = lambda manifest: None,
    ) -> None:
        self.changes = changes
        self.serves = serves
        self.board = board or Board(None)
        self.registry = registry
        self.settings = settings
        self.metrics = metrics
        self.source = Source(settings.bundle)
        self.load = load
        self.failures = Failures(metrics)
        self.changed_on_disk = False
        self._last_good: Path | None = None
        self._busy = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self) -> None:
        """Tell of what is to be current before it is loaded, where its manifest can be read."""
        if (manifest := self.source.manifest()) is not None:
            self.serves(manifest)

    async def start(self) -> None:
        """Load the first generation, then follow. Raises BundleError or ProviderError."""
        if self.settings.wait:
            await self._until_there_is_one()
        async with self._busy:
            await self._begin(self.source.first())
        gc.freeze()  # what lives as long as the service: a full collection walked it all
        await asyncio.to_thread(give_back)  # what loading took
        await self.look()
        if self.settings.watch:
            self._keep(asyncio.create_task(self._follow()))

    async def close(self) -> None:
        """Stop following, and take everything out of service."""
        for task in self._tasks:
            task.cancel()
        await self.registry.close()
        gc.unfreeze()

    def ask(self) -> None:
        """Have it reload, soon: for a signal's handler."""
        self._keep(asyncio.get_running_loop().create_task(self.reload()))

    async def reload(self) -> None:
        """Look now, and try again what has failed."""
        log.info("reload: looking at %s", self.source.path)
        self.failures.retry()
        await self.look()

    async def look(self) -> None:
        """Bring into service whatever the source names and does not serve yet."""
        async with self._busy:
            for role in ROLES:
                await self._see_to(role, self.source.find(role))
            self._notice_changes()

    def settled(self) -> bool:
        """Whether what the source names answers here, and nothing else does."""
        serving = {role: found.bundle.directory for role, found in self.registry.roles().items()}
        answering: tuple[Role, ...] = "current", "canary"
        try:
            return all(serving.get(role) == self.source.find(role) for role in answering)
        except OSError:  # a folder that cannot be read just now
            return False

    async def _until_there_is_one(self) -> None:
        if self.source.find("current") is None:
            log.info("waiting for a first bundle in %s", self.source.path)
        while self.source.find("current") is None:
            await asyncio.sleep(_LOOK)

    async def _begin(self, wanted: Path) -> None:
        """Serve what should be served; where it fails, what other workers still serve."""
        try:
            await self._bring("current", wanted)
        except (BundleError, ProviderError) as error:
            others = {posted.directories.get("current") for posted in self.board.read()}
            good = next((found for found in others if found and found != wanted), None)
            if good is None:
                raise
            await self._bring("current", good)
            self.failures.add("current", wanted, error)
            self._post()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self.settings.watch)
            try:
                await self.look()
            except Exception:  # a folder that cannot be read just now: this task must not end
                log.exception("cannot look at %s", self.source.path)

    async def _see_to(self, role: Role, wanted: Path | None) -> None:
        serving = self.registry.get(role)
        if wanted is None:
            if role != "current" and serving is not None:
                log.info("%s ends", role)
                self.registry.put(role, None)
                self._post()
            return
        if serving is not None and serving.bundle.directory == wanted:
            if self.failures.forget(role):
                self._post()
        elif not self.failures.waits(role, wanted):
            try:
                await self._bring(role, wanted)
            except (BundleError, ProviderError) as error:
                self.failures.add(role, wanted, error)
                self._post()

    async def _bring(self, role: Role, directory: Path) -> None:
        started = time.perf_counter()
        generation = self._in_service(directory) or await self._loaded(directory)
        await self._catch_up(generation)
        self.registry.put(role, generation)
        if role == "current":
            self.serves(generation.bundle.manifest)
        self.failures.forget(role)
        seconds = time.perf_counter() - started
        self.metrics.loaded(seconds)
        log.info(
            "serving %s (%s, %d items) on %s, %s, after %.2fs",
            generation.bundle.manifest.name, generation.bundle.digest[:12],
            len(generation.bundle.catalogue), generation.batcher.engine.provider, role, seconds,
        )  # fmt: skip
        self._post()
        if self.settings.verify == "start":
            self._passed(role, directory)
        else:
            self._keep(asyncio.create_task(self._verify(role, generation)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _in_service(self, directory: Path) -> Generation | None:
        """A shadow that becomes current is loaded already."""
        serving = self.registry.roles().values()
        return next((found for found in serving if found.bundle.directory == directory), None)

    async def _loaded(self, directory: Path) -> Generation:
        load = partial(self.load, directory, self.settings, self.metrics)
        try:
            generation = await beside(load, rests=bool(self.registry.roles()))
        except (BundleError, ProviderError):
            raise
        except Exception as error:  # whatever a runtime makes of a bad bundle: the old one serves
            log.exception("%s cannot be loaded", directory)
            raise BundleError(f"{directory} cannot be loaded: {error}") from error
        await self._take_over(generation)
        await generation.start()
        return generation

    async def _catch_up(self, generation: Generation) -> None:
        """What was acknowledged before it serves is in it, too; nothing may come after this but
        the change of the pointer.
        """
        try:
            async with asyncio.timeout(_CATCH_UP):
                while generation.live.position < (reached := self.registry.position()):
                    await generation.live.until(reached)
        except TimeoutError:
            if generation not in self.registry.roles().values():
                await generation.close()
            raise BundleError("live items cannot be taken over: the log is not read") from None

    async def _take_over(self, generation: Generation) -> None:
        """Live items come along. Without them only the first generation may serve: it would else
        lose what the one before has.
        """
        if self.changes is None:
            return
        replay = partial(generation.live.replay, self.changes)
        try:
            with _uncollected():
                await beside(replay)
        except LogError as error:
            if self.registry.roles():
                await generation.close()
                raise BundleError(f"live items cannot be taken over: {error}") from error
            log.error("serving without live items for now: %s", error)

    async def _verify(self, role: Role, generation: Generation) -> None:
        """Look at what is mapped while it serves; what fails goes out of service."""
        try:
            await beside(partial(verify_mapped, generation.bundle))
        except BundleError as error:
            async with self._busy:
                await self._refuse(role, generation, error)
        else:
            self._passed(role, generation.bundle.directory)

    def _passed(self, role: Role, directory: Path) -> None:
        if role == "current":
            self._last_good = directory

    async def _refuse(self, role: Role, generation: Generation, error: BundleError) -> None:
        if self.registry.get(role) is not generation:
            return
        log.error("%s goes out of service", generation.bundle.digest[:12])
        if not (role == "current" and await self._back_from(generation.bundle.directory)):
            self.registry.put(role, None)
        self.failures.add(role, generation.bundle.directory, error, final=True)
        self._post()

    async def _back_from(self, damaged: Path) -> bool:
        """To what served before and was found whole; whether that can serve."""
        good, self._last_good = self._last_good, None  # it is when it has been looked at once more
        if good is None or good == damaged:
            return False
        try:
            await self._bring("current", good)
        except (BundleError, ProviderError) as error:
            log.error("nor can %s serve: %s", good.name, error)
            return False
        return True

    def _post(self) -> None:
        serving = self.registry.roles()
        self.board.post(
            Posted(
                pid=os.getpid(),
                serves={role: found.bundle.digest for role, found in serving.items()},
                directories={role: found.bundle.directory for role, found in serving.items()},
                failures=self.failures.reasons(),
                changed_on_disk=self.changed_on_disk,
            )
        )

    def _notice_changes(self) -> None:
        changed = any(found.changed_on_disk() for found in self.registry.roles().values())
        if changed and not self.changed_on_disk:
            log.error(
                "files of a bundle in service were written over: its answers may be wrong now, and "
                "this process may die; bundles are never changed, export and activate another"
            )
        if changed != self.changed_on_disk:
            self.changed_on_disk = changed
            self.metrics.bundle_changed.set(changed)
            self._post()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Many objects are made that all stay: looking for circles among them took half of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
