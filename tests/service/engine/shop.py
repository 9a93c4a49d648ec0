"""A shop on a tiny bundle whose items come and go, and what is asked of it: for engines."""

import numpy as np

from models.contract.bundle import Bundle
from models.contract.memory import Recalled
from models.contract.types import ItemCodes
from service.engine.feeds import History
from service.retrieval.live import Live, nothing_lives
from service.retrieval.rows import RowSet
from service.retrieval.selection import Allowed, Selection
from tests.tiny_bundle import ITEMS, MAX_HISTORY


class Shop:
    """Live items that come and go; what is asked of it is drawn."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.random = bundle, np.random.default_rng(0)
        self.live = nothing_lives(*bundle.item_vectors_ND.shape)()
        self.items = [ItemCodes(n, codes) for n, codes in enumerate(bundle.semantic_ids.codes_NS)]

    def change(self, more: int) -> None:
        """So many items come; some go, of the bundle's and others."""
        random, width = self.random, self.bundle.item_vectors_ND.shape[1]
        fresh_MD = random.normal(size=(more, width)).astype(np.float32)
        gone_M = np.concatenate([self.live.gone_M, np.zeros(more, np.bool_)])
        gone_N = self.live.gone_N.copy()
        gone_M[random.random(len(gone_M)) < 0.1] = True
        gone_N[random.integers(0, ITEMS, 2)] = True
        self.live = Live(np.concatenate([self.live.vectors_MD, fresh_MD]), gone_M, gone_N)
        columns, read_MD = self.bundle.vectors.columns, fresh_MD.copy()
        for part in columns:
            read_MD[:, part] = random.normal(size=(more, part.stop - part.start))
        for read_D in read_MD:
            codes_S = self.items[random.integers(ITEMS)].codes
            self.items.append(ItemCodes(len(self.items), codes_S, read_D))

    def asks(self, count: int) -> tuple[list[History], list[int], list[Selection]]:
        """Histories, how many are wanted, and what may be found."""
        random = self.random
        histories = [self._some(int(random.integers(1, MAX_HISTORY + 1))) for _ in range(count)]
        k = random.integers(1, 20, count).tolist()
        return histories, k, [self._selection(history) for history in histories]

    def _some(self, count: int) -> History:
        return [self.items[row] for row in self.random.integers(0, len(self.items), count)]

    def _selection(self, history: History) -> Selection:
        random, live = self.random, len(self.live.gone_M)
        hidden = np.unique([item.item_index for item in history])
        allowed = recalled = None
        if random.random() < 0.3:
            base = RowSet.of(random.random(ITEMS) < random.choice([0.02, 0.5]))
            allowed = Allowed(base, ITEMS + np.flatnonzero(random.random(live) < 0.5))
        if random.random() < 0.3:
            rows_J = np.flatnonzero(random.random(ITEMS + live) < 0.2)
            recalled = Recalled(rows_J, random.random(len(rows_J)).astype(np.float32))
        return Selection(hidden, allowed, recalled)
