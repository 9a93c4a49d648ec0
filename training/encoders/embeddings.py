"""One modality's vectors of a whole catalogue, with the mask that says which of them exist."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.contract.types import FloatArray, Modality
from training.errors import UserError


@dataclass(frozen=True)
class ItemEmbeddings:
    """Row i is item_index i. An absent row is zero *and* marked; only the mark says so."""

    vectors_ND: FloatArray
    present_N: NDArray[np.bool_]

    def __post_init__(self) -> None:
        vectors, present = self.vectors_ND, self.present_N
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise ValueError(f"vectors must be float32 (N, D), not {vectors.dtype} {vectors.shape}")
        if present.shape != vectors.shape[:1] or present.dtype != np.bool_:
            raise ValueError(f"present must be bool ({len(vectors)},), not {present.shape}")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors hold numbers that are not finite")
        if vectors[~present].any():
            raise ValueError("an absent item has a vector that is not zero")

    def write(self, path: Path) -> None:
        """Write ``{vectors, present}``; a reader never sees half a file."""
        partial = path.with_name(path.name + ".partial")
        save_file({"vectors": self.vectors_ND, "present": self.present_N}, partial)
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> "ItemEmbeddings":
        """Read what ``write`` wrote; UserError when the file is anything else."""
        try:
            arrays = load_file(path)
            return cls(arrays["vectors"], arrays["present"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{path} holds no item embeddings ({error}): encode again") from error


def file_of(directory: Path, modality: Modality) -> Path:
    """Where a modality's embeddings lie."""
    return directory / f"{modality}.safetensors"
