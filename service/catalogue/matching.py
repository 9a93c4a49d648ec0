"""What a filter lets through: found once, kept, and kept up with changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from models.contract.attributes import Attributes, values_of
from service.catalogue.filters import Filter
from service.retrieval.rows import Mask, Rows, RowSet
from service.retrieval.selection import Allowed

MOST_BYTES = 2**26  # of what is kept
_MOST_KEPT = 500  # filters: their bytes are added up for each that is new
_INLINE = 200  # changes that the event loop looks through by itself
_SLACK = 1_000  # entries of the log beside those of rows that changed last
_NONE = np.zeros(0, np.bool_)  # no live rows yet


class UnknownAttributeError(Exception):
    """A filter asks for what no item has: an attribute, or a number of that name."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(why)


class _Kept(NamedTuple):
    """What a filter lets through, as of a place in the log of changes."""

    base: RowSet
    live_M: Mask
    allowed: Allowed
    log: list[int]
    read: int  # entries of this log
    asked: int  # bytes of the filter itself

    @property
    def bytes(self) -> int:
        return self.asked + self.base.bytes + self.live_M.nbytes + self.allowed.live.nbytes


class Matching:
    """Filters over the attributes of one generation: the bundle's columns, and what has changed.

    For one event loop: ``put`` and ``allowed`` are called there.
    """

    def __init__(self, columns: Attributes, items: int) -> None:
        self.columns, self.items = columns, items
        self.names = set(columns)
        self.numbered = {name for name, column in columns.items() if len(column.numbers)}
        self._changed: dict[int, Mapping[str, Any]] = {}
        self._log: list[int] = []  # rows, in the order in which they changed; some more than once
        self._kept: OrderedDict[Filter, _Kept] = OrderedDict()

    def put(self, row: int, attributes: Mapping[str, Any]) -> None:
        """All that an item has from now on, be it the bundle's or live (N and above).

        ``attributes`` is never written to afterwards.
        """
        self._changed[row] = attributes
        self._log.append(row)
        self.names.update(attributes)
        new = attributes.keys() - self.numbered
        self.numbered.update(name for name in new if values_of(attributes[name]).numbers)
        if len(self._log) > 2 * len(self._changed) + _SLACK:
            self._log = list(self._changed)

    def check(self, name: str) -> None:
        """Raises UnknownAttributeError where no item has such an attribute."""
        if name not in self.names:
            known = sorted(self.names)[:20]
            has = f"items have {', '.join(known)}" if known else "no item has any"
            raise UnknownAttributeError(name, f"no item has an attribute of this name; {has}")

    def _check_range(self, name: str) -> None:
        """Raises UnknownAttributeError where none has a number: a text such as "15,52 €" is none,
        and the range would find nothing for ever.
        """
        if name not in self.numbered:
            raise UnknownAttributeError(name, "no item has a number here, for a range to find")

    async def allowed(self, wanted: Filter) -> Allowed:
        """The rows that a filter lets through. Raises UnknownAttributeError.

        What takes longer is done in a thread.
        """
        for name in wanted.names:
            self.check(name)
        for name in wanted.ranges:
            self._check_range(name)
        kept = self._kept.get(wanted)
        if kept is None or self._behind(kept) > _INLINE:
            kept = await asyncio.to_thread(self._brought_up, wanted, kept)
        else:
            kept = self._brought_up(wanted, kept)
        self._keep(wanted, kept)
        return kept.allowed

    def _behind(self, kept: _Kept) -> int:
        return len(self._log) - (kept.read if kept.log is self._log else 0)

    def _brought_up(self, wanted: Filter, kept: _Kept | None) -> _Kept:
        """As of now, or later: a row that changes meanwhile is in the log once more."""
        log = self._log  # another from time to time, which begins anew with whatever has changed
        read = len(log)
        if kept is None:
            base, live_M, first = RowSet.of(wanted.mask(self.columns, self.items)), _NONE, 0
        else:
            base, live_M = kept.base, kept.live_M
            first = kept.read if kept.log is log else 0
            if first == read:
                return kept
        rows: Rows = np.unique(np.array(log[first:read], np.int64))
        inside = np.array([wanted.matches(self._changed[row]) for row in rows.tolist()], np.bool_)
        of_base = rows < self.items
        if of_base.any():
            base = base.changed(rows[of_base], inside[of_base])
        live_M = _set(live_M, rows[~of_base] - self.items, inside[~of_base])
        allowed = Allowed(base, self.items + np.flatnonzero(live_M))
        return _Kept(base, live_M, allowed, log, read, wanted.bytes)

    def _keep(self, wanted: Filter, kept: _Kept) -> None:
        new = wanted not in self._kept
        self._kept[wanted] = kept
        self._kept.move_to_end(wanted)
        if new:
            held = sum(each.bytes for each in self._kept.values())
            while (held > MOST_BYTES or len(self._kept) > _MOST_KEPT) and len(self._kept) > 1:
                held -= self._kept.popitem(last=False)[1].bytes


def _set(mask_M: Mask, numbers: Rows, inside: Mask) -> Mask:
    """A copy with these rows set, as long as that takes."""
    longer_M = np.zeros(max(len(mask_M), int(numbers.max(initial=-1)) + 1), np.bool_)
    longer_M[: len(mask_M)] = mask_M
    longer_M[numbers] = inside
    return longer_M
