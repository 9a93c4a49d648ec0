"""Filters: which items a request wants, by their attributes."""

from collections.abc import Mapping
from typing import Any


class Filter:
    """Conditions on attributes, all of which an item must meet. Hashable, and never changed."""

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Whether an item of these attributes is wanted: JSON scalars, or lists of them."""
        raise NotImplementedError
