"""Stages quantize and requantize: vectors and histories to semantic IDs."""

from pathlib import Path

from models.contract.semantic_id import Resolution
from training import stage_files
from training.config import RunConfig
from training.data.histories import Part
from training.quantize.learn import learn_codes

REFIT_OFF = "off: the bundle holds the model that was evaluated"


def run(config: RunConfig, directory: Path) -> str:
    """Codes from the training part alone; a line on what collided."""
    histories = stage_files.new_items(config).known
    return _resolved(learn_codes(config, histories.up_to(Part.TRAIN), directory))


def again(config: RunConfig, directory: Path) -> str:
    """Codes from everything that is to be learned, to go live."""
    if not config.fit.refit:
        return REFIT_OFF
    return _resolved(learn_codes(config, stage_files.learned(config), directory))


def _resolved(resolution: Resolution) -> str:
    return (
        f"{len(resolution.table):,} unique semantic IDs; {resolution.collided} items collided, "
        f"{resolution.moved} moved, {resolution.extended} got an extra code"
    )
