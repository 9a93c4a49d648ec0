"""Histories -> what the graph takes, out of the bundle's tables."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.bundle import Bundle
from models.contract.types import CodeArray, FloatArray, ItemCodes

History = Sequence[ItemCodes]


class Feeds(NamedTuple):
    """A batch as the graph wants it, in the order of ``manifest.onnx_inputs``."""

    codes_BTS: CodeArray
    items_BTD: FloatArray
    length_B: NDArray[np.int64]


def feeds(bundle: Bundle, histories: Sequence[History]) -> Feeds:
    """Histories padded on the right to the longest of this batch, no further.

    Tables are asked once, for all rows together; an item of no row is put in by its codes.
    """
    length_B = np.array([len(history) for history in histories], np.int64)
    rows_BT = np.zeros((len(histories), int(length_B.max())), np.int64)
    for row_T, history in zip(rows_BT, histories, strict=True):
        row_T[: len(history)] = [item.item_index for item in history]
    rowless = np.argwhere(rows_BT == len(bundle.catalogue))
    rows_BT[tuple(rowless.T)] = 0
    batch = Feeds(bundle.semantic_ids.codes_NS[rows_BT], bundle.vectors.read(rows_BT), length_B)
    for row, place in rowless:
        codes_S = histories[row][place].codes
        batch.codes_BTS[row, place] = codes_S
        batch.items_BTD[row, place] = bundle.vectors.of_codes(codes_S)
    return batch
