"""Progress on a terminal, quiet lines elsewhere."""

from pathlib import Path
from typing import Any

from rich.console import Console

console = Console(stderr=True)


def trainer_options(directory: Path, title: str) -> dict[str, Any]:
    """Lightning options every stage shares: a bar on a terminal, no chatter, our own folder."""
    return {
        "default_root_dir": directory,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    }
