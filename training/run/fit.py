"""Stages fit and refit: histories to a sequence model."""

from pathlib import Path

from training import stage_files
from training.config import RunConfig
from training.data.histories import Part, targets
from training.data.new_items import NewItems
from training.fit.fit_sequence import Fitted
from training.fit.learn import Choices, learn_sequence
from training.memory.live import Passing
from training.run.quantize import REFIT_OFF


def run(config: RunConfig, directory: Path) -> str:
    """Learn from the training part; validation makes the choices."""
    new, codes = stage_files.new_items(config), config.output / "quantize"
    choices = to_be_made(config, new)
    fitted = learn_sequence(config, codes, new.known.up_to(Part.TRAIN), choices, directory)
    best = f"best validation NDCG@10 {fitted.validation_ndcg:.4f} after {fitted.epochs} epochs"
    remembered = f"what was counted weighs {fitted.recipe.weight:g}"
    if fitted.recipe.live:
        remembered += f", what is counted while it serves {fitted.recipe.live:g}"
    return f"{best}; rare and new items borrow {fitted.borrowing:g}; {remembered}{_said(fitted)}"


def to_be_made(config: RunConfig, new: NewItems) -> Choices:
    """What validation is to choose: the epoch, what is borrowed, and new items' calibration."""
    seen, most = config.filter_seen, config.evaluate.validation_users
    data = stage_files.data(config)
    return Choices(
        epochs=config.fit.epochs,
        shares=config.fit.borrowing,
        validation=targets(new.known, Part.VALIDATION, filter_seen=seen).sample(most, config.seed),
        mixed=new.mixed(Part.VALIDATION, filter_seen=seen).sample(most, config.seed),
        passing=Passing(data.histories, data.times()) if data.card.split.timed else None,
    )


def _said(fitted: Fitted) -> str:
    """What calibration comes to, if there was any."""
    if not fitted.exposure:
        return ""
    shown, taken = fitted.exposure.shown, fitted.exposure.taken
    return f"; of the items shown {shown:.1%} are new, of those taken {taken:.1%}"


def again(config: RunConfig, directory: Path) -> str:
    """Learn from everything that is to be learned, with what was chosen, to go live."""
    if not config.fit.refit:
        return REFIT_OFF
    chosen = stage_files.read_json(config.output / "fit" / stage_files.FITTED)
    choices = Choices.made(chosen)
    codes = config.output / "requantize"
    learn_sequence(config, codes, stage_files.learned(config), choices, directory)
    return f"{choices.epochs} epochs on everything" + (
        "" if config.fit.learn_test else " but the test part"
    )
