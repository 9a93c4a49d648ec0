"""What a training leaves for the next to go on from: ``OUTPUT/warm``.

Rows of a later data set are others, so items are told by their ids, and words by themselves.
"""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.contract.semantic_id import SemanticIdTable
from models.nets.quantizer import Quantizer
from training import stage_files
from training.config import RunConfig
from training.encoders.encode import load_vocabulary
from training.errors import UserError

FOLDER = "warm"
_ITEMS, _WORDS = "items.parquet", "words.parquet"
CODES = (
    stage_files.SPACE,
    stage_files.QUANTIZER,
    stage_files.SEMANTIC_IDS,
    stage_files.CODEWORDS,
    stage_files.HEALTH,
)
_LAST = "last.ckpt"
_AVERAGED = "averaged.module."


class Kept(NamedTuple):
    """item_ids: of the rows of tables. weights: as they were exported, before words were folded,
    and before anything was borrowed or calibrated.
    """

    folder: Path
    item_ids: pl.Series
    words: pl.Series
    table: SemanticIdTable
    weights: dict[str, Tensor]
    fitted: dict[str, Any]

    def quantizer(self) -> Quantizer:
        """What codes come from."""
        return Quantizer.load(self.folder / stage_files.QUANTIZER, self.table.space)


def folder_of(config: RunConfig) -> Path:
    """Where it lies."""
    return config.output / FOLDER


def keep(config: RunConfig) -> None:
    """After a run whose last training was ``refit``, whole or warm. In place all at once."""
    folder, fresh = folder_of(config), config.output / f".{FOLDER}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in CODES:
        shutil.copyfile(config.output / "requantize" / name, fresh / name)
    refit = config.output / "refit"
    shutil.copyfile(refit / stage_files.FITTED, fresh / stage_files.FITTED)
    save_file(averaged(refit / _LAST), fresh / stage_files.WEIGHTS)
    stage_files.data(config).items.select("item_id").write_parquet(fresh / _ITEMS)
    words = load_vocabulary(config.output / "encode")
    pl.DataFrame({"word": words}, {"word": pl.String}).write_parquet(fresh / _WORDS)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def kept(config: RunConfig) -> Kept:
    """What ``keep`` left. Raises UserError where there is nothing."""
    folder = folder_of(config)
    if not (folder / _WORDS).exists():
        raise UserError(f"{folder}: there is nothing to go on from")
    table, _ = stage_files.semantic_ids(folder)
    return Kept(
        folder,
        pl.read_parquet(folder / _ITEMS)["item_id"],
        pl.read_parquet(folder / _WORDS)["word"],
        table,
        load_file(folder / stage_files.WEIGHTS),
        stage_files.read_json(folder / stage_files.FITTED),
    )


def averaged(checkpoint: Path) -> dict[str, Tensor]:
    """The moving average of a model's weights, from a checkpoint of its training."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {
        name.removeprefix(_AVERAGED): weight.contiguous()
        for name, weight in state.items()
        if name.startswith(_AVERAGED)
    }
