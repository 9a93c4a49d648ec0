"""Stages fit and refit: histories to a sequence model."""

from pathlib import Path

from training import stage_files
from training.config import RunConfig
from training.data.histories import Part, targets
from training.fit.learn import Choices, learn_sequence
from training.run.quantize import REFIT_OFF


def run(config: RunConfig, directory: Path) -> str:
    """Learn from the training part; validation chooses the epoch and what is borrowed."""
    histories, codes = stage_files.data(config).histories, config.output / "quantize"
    held_out = targets(histories, Part.VALIDATION, repeats=not config.filter_seen)
    held_out = held_out.sample(config.evaluate.validation_users, config.seed)
    choices = Choices(config.fit.epochs, config.fit.borrowing, held_out)
    fitted = learn_sequence(config, codes, histories.up_to(Part.TRAIN), choices, directory)
    best = f"best validation NDCG@10 {fitted.validation_ndcg:.4f} after {fitted.epochs} epochs"
    return f"{best}; rare and new items borrow {fitted.borrowing:g}"


def again(config: RunConfig, directory: Path) -> str:
    """Learn from everything, with what was chosen, to go live."""
    if not config.fit.refit:
        return REFIT_OFF
    chosen = stage_files.read_json(config.output / "fit" / stage_files.FITTED)
    choices = Choices(chosen["epochs"], (chosen["borrowing"],), None)
    histories, codes = stage_files.data(config).histories, config.output / "requantize"
    learn_sequence(config, codes, histories, choices, directory)
    return f"{choices.epochs} epochs on everything"
