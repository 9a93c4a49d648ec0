"""Bundles that the engine process dies of: what it had begun to load, it tells the next one."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from service.runtime import ProviderError

_MOST = 3  # deaths while it is loaded: one may have been for another reason


class Attempts:
    """In files, which outlive the process: a byte for each time that a bundle was begun.

    One that was loaded is never refused: it may be the one that serves.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def attempt(self, directory: Path) -> Iterator[None]:
        """While it is loaded. Raises ProviderError where the process has died of it too often."""
        name = blake2b(bytes(directory), digest_size=16).hexdigest()
        loaded, begun = self.folder / f"{name}.loaded", self.folder / f"{name}.begun"
        if loaded.exists():
            yield
            return
        with begun.open("ab") as file:
            if file.tell() >= _MOST:
                raise ProviderError(
                    f"the engine process has died {_MOST} times while it loaded this bundle, "
                    "which is tried again when somebody asks for it"
                )
            file.write(b".")
        try:
            yield
            loaded.touch()
        finally:
            begun.unlink(missing_ok=True)

    def forget(self) -> None:
        """Somebody asks: try all of them again."""
        for begun in self.folder.glob("*.begun"):
            begun.unlink(missing_ok=True)
