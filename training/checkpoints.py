"""Checkpoints, written to disk as they lie in memory."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from models.contract.store import put_in_place


class StreamedCheckpoints(TorchCheckpointIO):
    """Lightning packs a checkpoint in memory first: once more the model and all its moments."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(checkpoint, partial)
        put_in_place(partial, path)
