"""Checkpoints that are streamed to disk, without a copy of them in memory."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from models.contract.store import put_in_place


class StreamedCheckpoints(TorchCheckpointIO):
    """Lightning's own builds the whole file in memory first: a second model and optimiser."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write the file whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(checkpoint, partial)
        put_in_place(partial, path)
