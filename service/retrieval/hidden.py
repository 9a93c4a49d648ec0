"""Hidden items in FAISS, whose selectors are for all queries of a call.

Where few are hidden, as many more are found and the hidden ones left out, for a selector would turn
a batch's matrix product into scans, one for each query. Where many are, the query is alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import faiss
import numpy as np

from models.contract.types import FloatArray
from service.retrieval.retriever import Found, Rows, nothing_found, tidied

MANY = 1024  # hidden rows: FAISS is told of so many; fewer are found, too, and left out
_TOGETHER = 255  # queries that need no more items than this, and one more, are alike

# Vectors, how many items of each query and what is hidden of it -> that, or more, in any width.
Search = Callable[[FloatArray, int, Sequence[Rows]], Found]


def alike(
    vectors_BD: FloatArray, k: Sequence[int], hidden: Sequence[Rows], items: int, search: Search
) -> Found:
    """Search among so many items for those together that need about as many of them.

    That is where the next power of two of ``k`` and what is hidden is the same. Whoever hides very
    many is alone.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    for query, (wanted, rows) in enumerate(zip(k, hidden, strict=True)):
        size = max(_TOGETHER, wanted + len(rows) - 1).bit_length()
        of = ("alone", query) if len(rows) >= MANY else ("together", size)
        groups.setdefault(of, []).append(query)
    found = nothing_found(len(k), min(max(k), items))
    for queries in groups.values():
        wanted = min(max(k[query] for query in queries), items)
        rows_of = [hidden[query] for query in queries]
        found.put(queries, search(np.ascontiguousarray(vectors_BD[queries]), wanted, rows_of))
    return tidied(found, k)


def without(found: Found, hidden: Sequence[Rows]) -> Found:
    """The same, but for hidden items: the others move up, and nothing is left at the end."""
    items_BK, queries = found.items_BK, np.arange(len(hidden))
    counts = [len(rows) for rows in hidden]
    span = 1 + max(items_BK.max(initial=0), *(rows.max(initial=0) for rows in hidden))
    pairs = np.repeat(queries, counts) * span + np.concatenate(hidden)
    hidden_BK = np.isin(queries[:, None] * span + items_BK, pairs) & (items_BK >= 0)
    order_BK = np.argsort(hidden_BK, axis=1, kind="stable")
    scores_BK = np.where(hidden_BK, np.float32(-np.inf), found.scores_BK)
    items_BK = np.where(hidden_BK, -1, items_BK)
    return Found(*(np.take_along_axis(x, order_BK, axis=1) for x in (scores_BK, items_BK)))


def all_but(rows: Rows) -> Any:
    """What tells FAISS to look at all items but these."""
    return faiss.IDSelectorNot(faiss.IDSelectorBatch(rows))
