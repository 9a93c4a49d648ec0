"""Rows that FAISS must not find, whose selectors are for all queries of a call.

Where few are hidden, as many more are found and the hidden ones left out, for a selector would turn
a batch's matrix product into scans, one for each query. Where many are, the query is alone. Queries
that may find the same rows only are together.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import faiss
import numpy as np

from models.contract.types import FloatArray
from service.retrieval.retriever import Found, nothing_found, tidied
from service.retrieval.rows import Mask, Rows, RowSet
from service.retrieval.selection import NO_ROWS, Selection

MANY = 1024  # hidden rows: FAISS is told of so many; fewer are found, too, and left out
_TOGETHER = 255  # queries that need no more items than this, and one more, are alike


class Group(NamedTuple):
    """Queries that may find the same rows, and need about as many of them."""

    vectors_BD: FloatArray
    k: int  # the most that one of them wants
    allowed: RowSet | None  # what alone they were told that they may find, None: anything
    shown: RowSet | None  # the same, but for what very many hidden rows leave of it
    hidden: Sequence[Rows]  # of each query, to be left out of what is found
    taken: int  # the most that is hidden from one, be it in ``hidden`` or not in ``shown``


Search = Callable[[Group], Found]  # its k best of each query, or more, in any width


def alike(
    vectors_BD: FloatArray,
    k: Sequence[int],
    selections: Sequence[Selection],
    items: int,
    search: Search,
) -> Found:
    """Search among so many items for those together that may find the same, and need about as many.

    That is where the next power of two of ``k`` and what is hidden is the same. Whoever hides very
    many is alone.
    """
    groups: dict[tuple[int, int, int], list[int]] = {}
    for query, (wanted, (hidden, allowed, _)) in enumerate(zip(k, selections, strict=True)):
        size = max(_TOGETHER, wanted + len(hidden) - 1).bit_length()
        alone = query if len(hidden) >= MANY else -1
        same = 0 if allowed is None else id(allowed.base)
        groups.setdefault((alone, same, size), []).append(query)
    found = nothing_found(len(k), min(max(k), items))
    for queries in groups.values():
        asked = np.ascontiguousarray(vectors_BD[queries])
        most = min(max(k[query] for query in queries), items)
        group = _group(asked, most, [selections[query] for query in queries], items)
        found.put(queries, search(group))
    return tidied(found, k)


def _group(vectors_BD: FloatArray, k: int, alike: Sequence[Selection], items: int) -> Group:
    hidden, allowed, _ = alike[0]
    base = None if allowed is None else allowed.base
    if len(hidden) >= MANY:
        rest = RowSet(items, rows=hidden).others
        shown = rest if base is None else base.both(rest)
        return Group(vectors_BD, k, base, shown, [NO_ROWS], len(hidden))
    rows = [selection.hidden for selection in alike]
    return Group(vectors_BD, k, base, base, rows, max(map(len, rows)))


def unwanted(found: Found, hidden: Sequence[Rows]) -> Mask:
    """(B, K): which of the found items each query hides."""
    items_BK, queries = found.items_BK, np.arange(len(hidden))
    counts = [len(rows) for rows in hidden]
    span = 1 + max(items_BK.max(initial=0), *(rows.max(initial=0) for rows in hidden))
    pairs = np.repeat(queries, counts) * span + np.concatenate(hidden)
    return np.isin(queries[:, None] * span + items_BK, pairs) & (items_BK >= 0)


def without(found: Found, left_out_BK: Mask) -> Found:
    """The same, but for some items: the others move up, and nothing is left at the end."""
    order_BK = np.argsort(left_out_BK, axis=1, kind="stable")
    scores_BK = np.where(left_out_BK, np.float32(-np.inf), found.scores_BK)
    items_BK = np.where(left_out_BK, -1, found.items_BK)
    return Found(*(np.take_along_axis(x, order_BK, axis=1) for x in (scores_BK, items_BK)))


def selector(rows: RowSet) -> Any:
    """What tells FAISS to look at these alone."""
    return faiss.IDSelectorBitmap(rows.bits)  # type: ignore[call-arg, arg-type]
