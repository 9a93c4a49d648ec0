"""Values of an item file of which nothing is read: objects, such as nested JSON, and bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from models.contract.words import plain_text
from training.data.values import is_nested
from training.errors import UserError

_EXCERPT = 80  # characters of a value that are shown


class Unread:
    """Counted by column, so that none vanishes and nobody knows."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._read: set[str] = set()

    def look(self, path: Path, line: int, values: Mapping[str, Any]) -> None:
        """At one row's values, by column."""
        for column, value in values.items():
            if is_nested(value):
                self.counts[column] += 1
                excerpt = repr(value)[:_EXCERPT]
                self._first.setdefault(column, f"{path}, line {line}: {excerpt}")
            elif column not in self._read and plain_text(value):
                self._read.add(column)

    def check(self, asked: Iterable[str]) -> None:
        """Raise UserError for a column that the configuration asks for, and that holds nothing
        else.
        """
        for column in asked:
            if column in self.counts and column not in self._read:
                raise UserError(
                    f"items.columns: nothing can be read of {column!r}, which holds objects or "
                    f"bytes alone ({self._first[column]}). Export what is inside as columns of "
                    "its own: texts, numbers, or lists of them"
                )
