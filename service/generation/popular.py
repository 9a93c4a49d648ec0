"""Popular items: what answers where nothing in a history is known."""

import numpy as np

from models.contract.catalogue import Catalogue
from service.engine.batcher import Candidates
from service.retrieval.live import Live
from service.retrieval.rows import Mask, Rows
from service.retrieval.selection import Selection

_FEW = 20_000  # rows that are put in order for one request


def most_used(catalogue: Catalogue, k: int, selection: Selection, live: Live) -> Candidates:
    """The most used ``k`` in ``selection``; where those are too few, live items, which nobody has
    used yet, the latest first.
    """
    rows_K = _of_bundle(catalogue, k, selection, live)
    scores_K = catalogue.popularity_N[rows_K].astype(np.float32)
    if len(rows_K) < k:
        late_J = _of_live(selection, live)[: k - len(rows_K)]
        rows_K = np.concatenate([rows_K, late_J])
        scores_K = np.concatenate([scores_K, np.zeros(len(late_J), np.float32)])
    return Candidates(scores_K, rows_K)


def _of_bundle(catalogue: Catalogue, k: int, selection: Selection, live: Live) -> Rows:
    allowed = selection.allowed
    if allowed is not None and allowed.base.count <= _FEW:
        rows_J = allowed.base.rows
        rows_J = rows_J[np.argsort(-catalogue.popularity_N[rows_J], kind="stable")]
        return rows_J[_shown(rows_J, selection, live)][:k]
    looked_at = 2 * k + len(selection.hidden)
    while True:
        rows_J = catalogue.by_popularity_N[:looked_at].astype(np.int64)
        found_J = rows_J[_shown(rows_J, selection, live)][:k]
        if len(found_J) == k or looked_at >= len(catalogue):
            return found_J
        looked_at *= 4


def _shown(rows_J: Rows, selection: Selection, live: Live) -> Mask:
    shown_J: Mask = ~(live.gone_N[rows_J] | np.isin(rows_J, selection.hidden))
    if selection.allowed is not None:
        shown_J &= selection.allowed.base.holds(rows_J)
    return shown_J


def _of_live(selection: Selection, live: Live) -> Rows:
    numbers_J = np.flatnonzero(~live.gone_M)[::-1] + len(live.gone_N)
    numbers_J = numbers_J[~np.isin(numbers_J, selection.hidden)]
    if selection.allowed is not None:
        numbers_J = numbers_J[np.isin(numbers_J, selection.allowed.live)]
    return numbers_J
