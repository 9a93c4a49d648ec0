"""Progress on a terminal; quiet elsewhere."""

import logging
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

console = Console(stderr=True)


def trainer_options(directory: Path) -> dict[str, Any]:
    """Lightning options that every stage shares: one bar, no chatter, files in our own folder."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Going on from a checkpoint folder that is not empty is what resuming means.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # A loader of small index batches needs no worker processes, whatever Lightning suggests.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    return {
        "default_root_dir": directory,
        "enable_model_summary": False,
        "callbacks": [RichProgressBar(leave=False)] if console.is_terminal else [],
        "enable_progress_bar": console.is_terminal,
    }
