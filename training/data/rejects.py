"""Bad rows: each written down with its file and line, counted by reason, and limited in share."""

import json
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from training.errors import UserError

Write = Callable[[str, int, "Reason", str], None]
EXCERPT = 200  # characters of a bad row that are kept


class Reason(StrEnum):
    """Why a row cannot be used."""

    MISSING_USER = "missing_user_id"
    MISSING_ITEM = "missing_item_id"
    MISSING_TIME = "missing_time"
    MISSING_RATING = "missing_rating"
    BAD_TIME = "unparsable_time"
    BAD_RATING = "unparsable_rating"
    NOT_FINITE = "not_finite"
    ZERO_BYTE = "zero_byte_in_id"
    DUPLICATE_ITEM = "duplicate_item"
    OUTSIDE_FOLDER = "file_outside_folder"
    BROKEN_UTF8 = "broken_utf8"
    WRONG_FIELDS = "wrong_number_of_fields"
    MALFORMED = "malformed_line"
    TRUNCATED_GZIP = "truncated_gzip"


_REMEDIES = {
    Reason.BAD_TIME: "Say how times are written: interactions.time_format. ",
    Reason.DUPLICATE_ITEM: "Of rows with one id the first counts: raise filter.max_reject_share if "
    "that is meant. ",
    Reason.BROKEN_UTF8: "Save files as UTF-8. ",
}


class Rejects:
    """The rejects file. Use as a context manager; one for a whole run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Put everything on disk."""
        self._file.close()

    def source(self, name: str, data: Path) -> "SourceRejects":
        """Where the bad rows of one input go; counted apart from those of others.

        ``data``: its file, or the folder of its files.
        """
        return SourceRejects(name, data, self.path, self._write)

    def _write(self, file: str, line: int, reason: Reason, excerpt: str) -> None:
        entry = {"file": file, "line": line, "reason": reason, "excerpt": excerpt[:EXCERPT]}
        # Plain ASCII: an excerpt may hold half a character that no encoder would take.
        self._file.write(json.dumps(entry) + "\n")


class SourceRejects:
    """The bad rows of one input: the interactions, or the items."""

    def __init__(self, name: str, data: Path, path: Path, write: Write) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self._data = data
        self._path = path
        self._write = write

    @classmethod
    def nowhere(cls) -> Self:
        """For a first look at a file: what is bad is reported when its rows are read."""
        return cls("", Path(), Path(), lambda *entry: None)

    def add(self, file: Path, line: int, reason: Reason, excerpt: str) -> None:
        """Write down one bad row; ``line`` starts at 1, and a header is line 1."""
        self.counts[reason] += 1
        self._write(self.name_of(file), line, reason, excerpt)

    def name_of(self, file: Path) -> str:
        """By its way in the folder: names may come up twice."""
        inside = self._data in file.parents
        return file.relative_to(self._data).as_posix() if inside else file.name

    def check(self, rows: int, limit: float) -> None:
        """Raise UserError if more than ``limit`` of all ``rows``, good and bad, were bad."""
        bad = self.counts.total()
        if not bad or bad <= limit * rows:
            return
        raise UserError(
            f"{bad:,} of {rows:,} rows of the {self.name} cannot be used ({self.reasons()}): "
            f"{bad / rows:.2%} is more than filter.max_reject_share = {limit:.2%}. "
            f"{self.remedies()}Each is named, with file and line, in {self._path}"
        )

    def reasons(self) -> str:
        """How many rows were bad for which reason."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.counts.most_common())

    def remedies(self) -> str:
        """What a user may do about them: sentences, each with a space after it."""
        return "".join(remedy for reason, remedy in _REMEDIES.items() if self.counts[reason])
