"""A run that goes on from the one before: nothing is chosen, codes stay, the model learns on."""

import dataclasses
from pathlib import Path

import polars as pl

from training import stage_files
from training.config import RunConfig
from training.encoders.encode import load_embeddings, load_vocabulary
from training.fit.learn import Choices, learn_sequence
from training.run import export
from training.run.stages import STAGES
from training.warm import carry
from training.warm.kept import folder_of, kept

EPOCHS = 1  # over everything: days are few beside what was learned before


def codes(config: RunConfig, directory: Path) -> str:
    """Stage requantize: those of new items alone are made."""
    before = kept(config)
    at_N = carry.places(stage_files.data(config).items["item_id"], before.item_ids)
    table = carry.carry_codes(before, load_embeddings(config.output / "encode"), at_N)
    carry.write_codes(before, table, directory)
    return f"{int((at_N >= 0).sum()):,} items keep their codes, {int((at_N < 0).sum()):,} are new"


def learn_on(config: RunConfig, directory: Path) -> str:
    """Stage refit: from the weights before, with what was chosen then."""
    before = kept(config)
    choices = Choices.made(before.fitted, EPOCHS)
    at_N = carry.places(stage_files.data(config).items["item_id"], before.item_ids)
    vocabulary = pl.Series("word", load_vocabulary(config.output / "encode"), pl.String)
    word_at_V = carry.places(vocabulary, before.words)
    learn_sequence(
        config,
        config.output / "requantize",
        stage_files.learned(config),
        choices,
        directory,
        start=lambda model: carry.carry_weights(model, before, at_N, word_at_V),
    )
    return f"{EPOCHS} epoch on everything, from the weights before"


def write(config: RunConfig, directory: Path) -> str:
    """Stage export; a report would tell of what was not done."""
    return export.run(config, directory, report=False)


def _state(config: RunConfig) -> list[Path]:
    return [folder_of(config)]


_WHOLE = {stage.name: stage for stage in STAGES}
WARM = (
    _WHOLE["prepare"],
    _WHOLE["encode"],
    dataclasses.replace(_WHOLE["requantize"], run=codes, files=_state),
    dataclasses.replace(
        _WHOLE["refit"],
        run=learn_on,
        needs=("prepare", "requantize"),
        files=_state,
        distributed=False,
    ),
    dataclasses.replace(_WHOLE["export"], run=write, needs=("prepare", "refit")),
)
