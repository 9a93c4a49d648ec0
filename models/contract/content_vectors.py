"""What content comes to as vectors, in training and in the service alike.

Were a text encoded otherwise here than there, a new item would get other codes than training would
have given it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray

MOST_CHARACTERS = 32_768  # of a text: a mean over more says little, and costs memory


def mean_of_tokens(text: str, tokenizer: Any, vectors_VX: NDArray[np.floating[Any]]) -> FloatArray:
    """(X,): the mean of the vectors of a text's tokens, as the default text encoder has it.

    tokenizer: of the package tokenizers, one that neither pads nor cuts.
    """
    # One text at a time: encode_batch would start threads that make later forks complain.
    tokens = tokenizer.encode(text[:MOST_CHARACTERS], add_special_tokens=False).ids
    rows_TX = vectors_VX[tokens].astype(np.float32, copy=False)
    mean_X: FloatArray = rows_TX.sum(axis=0) / max(len(tokens), 1)
    return mean_X


def unit(vectors_BX: FloatArray) -> FloatArray:
    """Each row at length 1, for content is compared by direction; zero stays zero."""
    length_B1 = np.linalg.norm(vectors_BX, axis=1, keepdims=True)
    unit_BX: FloatArray = vectors_BX / np.maximum(length_B1, np.finfo(np.float32).tiny)
    return unit_BX
