"""Progress on a terminal; quiet elsewhere."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

console = Console(stderr=True)


def say(text: str) -> None:
    """A line as it is: what users call their files is no markup, and is not broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def trainer_options(directory: Path, loggers: Sequence[str] = ()) -> dict[str, Any]:
    """Lightning options that every stage shares: one bar, no chatter, files in our own folder.

    loggers: names of those that training curves go to (training/curves.py). Raises UserError for
    one that cannot be made.
    """
    from lightning.pytorch.callbacks import RichProgressBar

    from training.checkpoints import StreamedCheckpoints
    from training.curves import make_loggers
    from training.epoch_progress import EpochProgress

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Going on from a checkpoint folder that is not empty is what resuming means.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # Lightning 2.6 asks torch 2.13 in a way that torch is about to drop; not the user's to mend.
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
    # A loader of small index batches needs no worker processes, whatever Lightning suggests.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    bar = [RichProgressBar(leave=False)] if console.is_terminal else []
    return {
        "default_root_dir": directory,
        "logger": make_loggers(loggers, directory),
        "plugins": [StreamedCheckpoints()],
        "enable_model_summary": False,
        "callbacks": [EpochProgress(directory.parent), *bar],
        "enable_progress_bar": console.is_terminal,
    }
