"""Which of a file's columns plays which role: as configured, else by the usual names."""

from collections.abc import Sequence
from pathlib import Path

from training.errors import UserError

# Compared without case; the first that exists is taken, so parent_asin goes before asin.
USER = ("user_id", "userid", "user", "reviewerid", "customer_id")
ITEM = ("item_id", "itemid", "item", "parent_asin", "asin", "movie_id", "movieid", "product_id")
TIME = ("timestamp", "time", "unixreviewtime", "datetime", "date")
RATING = ("rating", "overall", "stars")
TYPE = ("type", "event_type", "event")
TITLE = ("title", "movie_title", "name")
TEXT = (
    *TITLE,
    *("brand", "store", "categories", "category", "genres", "genre", "class"),
    *("features", "description", "overview", "plot", "text"),
)
IMAGE = ("image_path", "image_bytes")


class Columns:
    """The columns of one file, looked up by role."""

    def __init__(self, path: Path, names: Sequence[str], section: str) -> None:
        self.names = tuple(names)
        self._path = path
        self._section = section
        self._lower = {name.lower(): name for name in reversed(self.names)}

    def required(self, role: str, asked: str | None, usual: Sequence[str]) -> str:
        """The column of a role. Raises UserError that names those which exist."""
        found = self.optional(role, asked, usual)
        if found is None:
            raise UserError(
                f"{self._path} has no column for the {role}: none of {', '.join(usual)}. "
                f"{self._existing()} Set {self._section}.columns.{role}"
            )
        return found

    def optional(self, role: str, asked: str | None, usual: Sequence[str]) -> str | None:
        """The column of a role, or None if it was not asked for and has no usual name."""
        if asked is not None:
            return self.exactly(role, asked)
        return next((self._lower[name] for name in usual if name in self._lower), None)

    def every(self, role: str, asked: Sequence[str] | None, usual: Sequence[str]) -> list[str]:
        """All columns of a role, in the order asked for."""
        if asked is not None:
            return [self.exactly(role, name) for name in asked]
        return [self._lower[name] for name in usual if name in self._lower]

    def exactly(self, role: str, name: str) -> str:
        """A column that the configuration names."""
        if name not in self.names:
            raise UserError(
                f"{self._path} has no column {name!r}, which {self._section}.columns.{role} "
                f"names. {self._existing()}"
            )
        return name

    def _existing(self) -> str:
        return f"Its columns are: {', '.join(self.names) or 'none'}."
