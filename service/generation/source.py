"""Where generations come from: an output folder, whose links say what serves, or one bundle."""

from pathlib import Path

from models.contract.bundle import BundleError
from models.contract.manifest import MANIFEST, Manifest, read_manifest
from models.contract.store import BundleStore, Role


class Source:
    """The folder that ``bbqrec-serve`` was given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = BundleStore(path)

    def find(self, role: Role) -> Path | None:
        """The folder of the bundle that should have this role, None where none should."""
        if (self.path / MANIFEST).exists():  # a bundle itself, or a link to one
            return self.path.resolve() if role == "current" else None
        return self.store.find(role)

    def manifest(self) -> Manifest | None:
        """What the bundle that should be current says of itself; None where that cannot be read."""
        try:
            found = self.find("current")
            return None if found is None else read_manifest(found)[0]
        except (BundleError, OSError):
            return None

    def first(self) -> Path:
        """What to begin with. Raises BundleError where there is nothing to serve."""
        found = self.find("current")
        if found is None:
            raise BundleError(
                f"{self.path} is no bundle, and no output folder with a link `current` to one: "
                "`bbqrec-train run` makes it"
            )
        return found
