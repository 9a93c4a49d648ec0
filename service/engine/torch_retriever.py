"""Exact retrieval in torch, on a GPU: all of the catalogue's vectors lie there."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.types import FloatArray
from service.engine.staged import BLOCK, Best, Items, best, best_in_full
from service.retrieval.retriever import Found, nothing_found, tidied
from service.retrieval.rows import RowSet
from service.retrieval.selection import Selection, hidden_pairs
from service.runtime import Device, ProviderError

_FEW = 50  # a fiftieth of the items: more rows are scored faster with all the others
_MASKS = 16  # that stay on the device, those used last
_AT_ONCE = 100_000  # rows that are copied there
_WORK_BYTES = 2**31  # of scores at a time


class TorchRetriever:
    """A BaseRetriever. On a CPU it does the same, so that it is tested where there is no GPU."""

    kind = "exact"

    def __init__(self, item_vectors_ND: FloatArray, device: Device) -> None:
        self.size, self.device = len(item_vectors_ND), torch.device(device)
        self.few = self.size // _FEW
        needed = bytes_needed(*item_vectors_ND.shape)
        if device == "cuda" and (free := torch.cuda.mem_get_info()[0]) < needed:
            raise ProviderError(
                f"{self.size:,} items need {needed:,} bytes of the GPU's memory, {free:,} are free"
            )
        vectors_ND = torch.empty(item_vectors_ND.shape, device=self.device)
        for first in range(0, self.size, _AT_ONCE):  # the file is mapped: not all is in memory
            part = slice(first, first + _AT_ONCE)
            vectors_ND[part] = torch.tensor(item_vectors_ND[part])
        self.items = Items.of(vectors_ND)
        self._kept: OrderedDict[int, tuple[RowSet, Tensor]] = OrderedDict()
        self._plain = self._put(np.zeros(self.size, np.float32))

    @torch.inference_mode()
    def search(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None = None,
    ) -> Found:
        """The best ``k[b]`` items of query b in ``selections[b]``, none of ``gone``."""
        wanted = min(max(k), self.size)
        found = nothing_found(len(k), wanted)
        together = max(1, _WORK_BYTES // (2 * len(self.items.scan_ND)))
        for first in range(0, len(k), together):
            queries = range(first, min(first + together, len(k)))
            vectors = torch.from_numpy(vectors_BD[first : first + together]).to(self.device)
            of = [selections[query] for query in queries]
            scores_BK, items_BK, _ = self._best(vectors, of, gone, wanted)
            found.put(queries, Found(scores_BK.cpu().numpy(), items_BK.cpu().numpy()))
        return tidied(found, k)

    def _best(
        self, vectors_BD: Tensor, selections: Sequence[Selection], gone: RowSet | None, k: int
    ) -> Best:
        added, hidden = self._added(selections, gone), self._hidden(selections)
        found = best(self.items, vectors_BD, added, hidden, k)
        unsure = (~found.shown_B).nonzero()[:, 0]
        if len(unsure):
            of = unsure.tolist()
            some = [selections[query] for query in of]
            rest = self._added(some, gone), self._hidden(some)
            again = best_in_full(self.items, vectors_BD[unsure], *rest, k)
            found.scores_BK[unsure], found.items_BK[unsure] = again.scores_BK, again.items_BK
        return found

    def _hidden(self, selections: Sequence[Selection]) -> Tensor:
        return torch.from_numpy(hidden_pairs(selections)).to(self.device)

    def _added(self, selections: Sequence[Selection], gone: RowSet | None) -> Tensor:
        plain = self._plain if gone is None else self._without(gone)
        if all(selection.allowed is None for selection in selections):
            return plain
        allowed = (selection.allowed for selection in selections)
        each = (plain if a is None else plain + self._without(a.base.others) for a in allowed)
        return torch.stack(list(each))

    def _without(self, rows: RowSet) -> Tensor:
        """What is added so that these are not found: on the device for as long as it is used."""
        kept = self._kept.pop(id(rows), None) or (rows, self._put(rows.nothing_N))
        self._kept[id(rows)] = kept
        if len(self._kept) > _MASKS:
            self._kept.popitem(last=False)
        return kept[1]

    def _put(self, added_N: NDArray[np.float32]) -> Tensor:
        """On the device; what fills the last block is never found."""
        filling = len(self.items.scan_ND) - self.size
        added = torch.from_numpy(added_N).to(self.device)
        return torch.nn.functional.pad(added, (0, filling), value=-torch.inf)


def bytes_needed(items: int, width: int) -> int:
    """Of the device's memory: vectors twice, masks, and what a search works in."""
    filled = items + -items % BLOCK
    return filled * (6 * width + 4 * _MASKS) + 2 * _WORK_BYTES
