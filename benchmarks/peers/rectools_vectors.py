"""Runs inside the peer's own environment: what a trained RecTools model is to the harness.

Vectors whose inner product ranks the catalogue, and the ranking's NDCG. Shapes: U users, N items of
the catalogue, B users of a batch, T ``most`` items of a history, D width.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_lightning import LightningModule

AT_ONCE = 250  # users encoded and ranked at a time
NEVER = -1e9  # score of an item that the model does not know


class HeldOut(NamedTuple):
    """One held-out item a user: history ``items[start : start + length]``, then ``target``."""

    items: np.ndarray
    start: np.ndarray
    length: np.ndarray
    target: np.ndarray

    @classmethod
    def read(cls, arrays: Any, name: str) -> "HeldOut | None":
        """The set of this name, or None where there is none."""
        if f"{name}_target" not in arrays:
            return None
        return cls(*(arrays[f"{name}_{field}"] for field in cls._fields))

    def history(self, user: int) -> np.ndarray:
        """A user's items before the held-out one, oldest first."""
        return self.items[self.start[user] : self.start[user] + self.length[user]]


class Vectors:
    """A trained module as catalogue-indexed vectors, the way RecTools itself recommends.

    RecTools gives no row to an item outside training, and neither recommends it nor reads it in a
    history. So vectors have one more column than the model: 1 for users; 0 for known items and
    ``NEVER`` for unknown ones, whose other columns are 0. A user without any known item is all 0
    but for that column: all known items tie.
    """

    def __init__(self, module: LightningModule, catalogue_size: int, most: int) -> None:
        self.model, self.most = module.torch_model, most
        known = module.data_preparator.get_known_item_ids().astype(np.int64)
        self.row_N = np.zeros(catalogue_size, np.int64)  # in RecTools' table; 0 is its padding
        self.row_N[known] = module.data_preparator.get_known_items_sorted_internal_ids()

    @torch.no_grad()
    def items(self) -> np.ndarray:
        """(N, D + 1)."""
        table = self.model.item_model.get_all_embeddings()
        vectors_ND = self.model.similarity_module.item_tower_forward(table).numpy()[self.row_N]
        unknown_N = self.row_N == 0
        vectors_ND[unknown_N] = 0.0
        return finite(np.column_stack([vectors_ND, np.where(unknown_N, NEVER, 0.0)]))

    @torch.no_grad()
    def users(self, held_out: HeldOut) -> np.ndarray:
        """(U, D + 1), one row a held-out item."""
        table = self.model.item_model.get_all_embeddings()
        rows = []
        for first in range(0, len(held_out.target), AT_ONCE):
            count = min(AT_ONCE, len(held_out.target) - first)
            x_BT = np.zeros((count, self.most), np.int64)
            for row in range(count):
                places = self.row_N[held_out.history(first + row)]
                latest = places[places > 0][-self.most :]
                x_BT[row, self.most - len(latest) :] = latest  # RecTools pads on the left
            hidden_BTD = self.model.encode_sessions({"x": torch.from_numpy(x_BT)}, table)
            users_BD = self.model.similarity_module.session_tower_forward(hidden_BTD[:, -1])
            rows.append(users_BD.numpy() * x_BT.any(axis=1, keepdims=True))
        vectors_UD = np.concatenate(rows)
        return finite(np.column_stack([vectors_UD, np.ones(len(vectors_UD))]))


def finite(vectors: np.ndarray) -> np.ndarray:
    """As float32. A model that has diverged must not pass as one that ranks."""
    if not np.isfinite(vectors).all():
        raise FloatingPointError("the model's vectors are no longer finite")
    return vectors.astype(np.float32)


def ndcg(
    held_out: HeldOut, users_UD: np.ndarray, items_ND: np.ndarray, filter_seen: bool, cutoff: int
) -> float:
    """Mean NDCG of the full ranking, as ``training.evaluate`` ranks: ties count against the target.

    ``filter_seen``: items of the history are not candidates, the target always is.
    """
    gain = 0.0
    for first in range(0, len(users_UD), AT_ONCE):
        scores_BN = users_UD[first : first + AT_ONCE] @ items_ND.T
        rows_B = np.arange(len(scores_BN))
        target_B = held_out.target[first : first + AT_ONCE]
        own_B = scores_BN[rows_B, target_B].copy()
        for row in rows_B if filter_seen else ():
            scores_BN[row, held_out.history(first + row)] = -np.inf
        scores_BN[rows_B, target_B] = own_B
        rank_B = (scores_BN >= own_B[:, None]).sum(axis=1)
        gain += (1 / np.log2(rank_B[rank_B <= cutoff] + 1)).sum()
    return float(gain / len(users_UD))
