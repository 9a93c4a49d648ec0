"""The default text encoder: WordLlama's static token vectors, averaged.

The package's own loader looks for the tokenizer in a folder that its wheel does not have, then
asks a model hub and writes into the home folder; importing it also configures logging for
everybody. Both files are in the wheel, so they are read from there and nothing else is touched.
"""

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from models.contract.content_vectors import mean_of_tokens, unit
from models.contract.types import FloatArray
from training.errors import UserError

WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")


class WordLlamaEncoder:
    """Mean of 256-d token vectors; tens of thousands of short texts a second."""

    def __init__(self) -> None:
        self.name = f"wordllama-{version('wordllama')}/{WEIGHTS.stem}/mean-unit-1"
        self._tokenizer = Tokenizer.from_file(str(tokenizer_path()))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._vectors_VX = token_vectors().astype(np.float32)
        self.size: int = self._vectors_VX.shape[1]

    def encode(self, batch: Sequence[str]) -> FloatArray:
        """Unit vectors of texts."""
        if not batch:
            return np.zeros((0, self.size), np.float32)
        means = [mean_of_tokens(text, self._tokenizer, self._vectors_VX) for text in batch]
        return unit(np.stack(means))


def tokenizer_path() -> Path:
    """The tokenizer's file."""
    return _wheel_folder() / TOKENIZER


def token_vectors() -> NDArray[np.float16]:
    """(V, 256), a row a token."""
    vectors_VX: NDArray[np.float16] = load_file(_wheel_folder() / WEIGHTS)["embedding.weight"]
    return vectors_VX


def _wheel_folder() -> Path:
    spec = find_spec("wordllama")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    if folder is None or not (folder / WEIGHTS).is_file() or not (folder / TOKENIZER).is_file():
        raise UserError(
            "the default text encoder needs the wordllama wheel: pip install 'bbqrec[train]'"
        )
    return folder
