"""Where training curves go: CSV, TensorBoard, or any logger of Lightning's interface."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from training.errors import UserError


def make_loggers(names: Sequence[str], directory: Path) -> list[Logger]:
    """Loggers by name; a dotted name is a class, made with ``save_dir=directory``.

    A run that goes on from a checkpoint adds a ``version_N`` beside the curves of its first part.
    """
    return [_logger(name, directory) for name in names]


def _logger(name: str, directory: Path) -> Logger:
    if name == "csv":
        return CSVLogger(directory, name="curves")
    if name == "tensorboard":
        return TensorBoardLogger(directory, name="tensorboard")
    module, _, attribute = name.rpartition(".")
    try:
        made = getattr(import_module(module), attribute)(save_dir=directory)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(
            f"loggers: {name!r} is neither csv nor tensorboard nor a logger that can be made with "
            f"save_dir alone ({error})"
        ) from error
    if not isinstance(made, Logger):
        raise UserError(f"loggers: {name!r} is no lightning.pytorch.loggers.Logger")
    return made
