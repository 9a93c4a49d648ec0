"""Any sentence-transformers or CLIP-family model, by name or folder: the extra ``encoders``."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.contract.content_vectors import unit
from models.contract.types import FloatArray
from training.errors import UserError


class NamedEncoder:
    """A model that sentence-transformers can load; ``probe`` is of the kind that it will get."""

    def __init__(self, model_name: str, probe: str | Image.Image) -> None:
        self._model = _load(model_name)
        # A name can be a folder or a moving branch: the weights themselves tell what they are.
        self.name = f"sentence-transformers/{model_name}/{_fingerprint(self._model)}"
        try:
            self.size = int(self._encode([probe]).shape[1])
        except Exception as error:  # whatever the model's own code raises on foreign input
            kind = "texts" if isinstance(probe, str) else "pictures"
            raise UserError(f"encoder {model_name!r} cannot encode {kind}: {error}") from error

    def encode(self, batch: Sequence[str | Image.Image]) -> FloatArray:
        """Unit vectors of texts or of RGB pictures."""
        return unit(self._encode(batch)) if batch else np.zeros((0, self.size), np.float32)

    def _encode(self, batch: Sequence[str | Image.Image]) -> FloatArray:
        vectors = self._model.encode(list(batch), convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)


def _load(model_name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UserError(
            f"encoder {model_name!r} needs sentence-transformers: pip install 'bbqrec[encoders]'"
        ) from error
    try:
        return SentenceTransformer(model_name)
    except Exception as error:  # hub, network, file and config faults have no common base
        raise UserError(f"encoder {model_name!r} cannot be loaded: {error}") from error


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        # As plain bytes: numpy knows no bfloat16.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
