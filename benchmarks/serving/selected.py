"""Searches that select: a filter, rows that are gone, rows that live beside; to a plain search.

Each query has a filter of its own: what filters share would make it cheaper.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from benchmarks.serving.catalogue import best, drawn, learned
from benchmarks.serving.machine import interleaved
from benchmarks.serving.rows import Row
from models.contract.types import FloatArray
from service.retrieval.choose import exact_retriever
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.live import Live, nothing_lives
from service.retrieval.overlay import Overlay
from service.retrieval.retriever import BaseRetriever
from service.retrieval.rows import RowSet
from service.retrieval.selection import ANYTHING, NO_ROWS, Allowed, Selection
from training.export.index import learn_index

WHAT = "selected"
SIZES = (100_000, 1_000_000)  # searched exactly, and compressed
_EXACT_UP_TO = 200_000
_K, _QUERIES, _SHARES = 100, 32, (0.01, 0.1, 0.5)
_GONE, _LIVE = 1_000, 10_000
_PLAIN = "plain"


class Case:
    """A retriever, what lives beside, and what each query may find."""

    def __init__(self, overlay: Overlay, live: Live, selections: Sequence[Selection]) -> None:
        self.overlay, self.live, self.selections = overlay, live, selections

    def search(self, users_BD: FloatArray, batch: int) -> np.ndarray:
        """(queries, K)."""
        found = [
            self.overlay.search(
                users_BD[first : first + batch],
                [_K] * batch,
                self.selections[first : first + batch],
            ).items_BK
            for first in range(0, len(users_BD), batch)
        ]
        return np.concatenate(found)

    def recall(self, vectors_ND: FloatArray, users_BD: FloatArray) -> float:
        """Against a look at all that each may find."""
        all_JD = np.concatenate([vectors_ND, self.live.vectors_MD])
        there_J = np.concatenate([~self.live.gone_N, ~self.live.gone_M])
        shares = []
        for query, items_K in enumerate(self.search(users_BD, len(users_BD))):
            allowed = self.selections[query].allowed
            rows_J = np.flatnonzero(there_J) if allowed is None else allowed.base.rows
            wanted_K = rows_J[best(all_JD[rows_J], users_BD[query : query + 1], _K)[0]]
            shares.append(len(np.intersect1d(items_K, wanted_K)) / _K)
        return float(np.mean(shares))


def rows(sizes: Sequence[int] = SIZES, repetitions: int = 9) -> Iterator[Row]:
    """Milliseconds a query beside those of a plain search, in turns, and recall."""
    seed = learned()
    users_BD = np.ascontiguousarray(seed.users_UD[:_QUERIES])
    for items in sizes:
        vectors_ND = drawn(seed, items)
        kind, base = _retriever(vectors_ND)
        beside_MD = drawn(seed, _LIVE)
        cases = _cases(base, vectors_ND, beside_MD)
        label = f"{items:,} items, {kind}"
        for name, case in cases.items():
            yield Row(WHAT, name, label, case.recall(vectors_ND, users_BD), "recall@100")
        for batch in (1, _QUERIES):
            calls = {name: partial(case.search, users_BD, batch) for name, case in cases.items()}
            taken = interleaved(calls, 1, repetitions)
            for name, ms in taken.items():
                ratio = ms / taken[_PLAIN]
                size = f"{label} B={batch}"
                yield Row(WHAT, name, size, ms / _QUERIES, "ms", _PLAIN, ratio)


def _retriever(vectors_ND: FloatArray) -> tuple[str, BaseRetriever]:
    if len(vectors_ND) <= _EXACT_UP_TO:
        return "exact", exact_retriever(vectors_ND, 1)
    index = learn_index(vectors_ND)
    return "compressed", CompressedRetriever(vectors_ND, index.faiss, index.rotation_DD, 1)


def _cases(base: BaseRetriever, vectors_ND: FloatArray, beside_MD: FloatArray) -> dict[str, Case]:
    random, items = np.random.default_rng(0), len(vectors_ND)
    plain = nothing_lives(*vectors_ND.shape)()
    gone_N = np.zeros(items, np.bool_)
    gone_N[random.choice(items, _GONE, replace=False)] = True
    live = Live(beside_MD, np.zeros(_LIVE, np.bool_), gone_N)

    def case(beside: Live, selections: Sequence[Selection]) -> Case:
        return Case(Overlay(base, vectors_ND, 1, lambda: beside), beside, selections)

    def share_of(share: float) -> list[Selection]:
        drawn_masks = (random.random(items) < share for _ in range(_QUERIES))
        return [Selection(NO_ROWS, Allowed(RowSet.of(mask_N))) for mask_N in drawn_masks]

    anything = [ANYTHING] * _QUERIES
    return {
        _PLAIN: case(plain, anything),
        **{f"filter {share:.0%}": case(plain, share_of(share)) for share in _SHARES},
        f"{_GONE:,} gone": case(plain._replace(gone_N=gone_N), anything),
        f"{_GONE:,} gone, {_LIVE:,} live": case(live, anything),
    }
