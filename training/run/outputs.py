"""What stages leave in their folders for the ones after them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.numpy import load_file

from models.contract import bundle
from models.contract.bundle import CatalogueItem
from models.contract.config import CodeSpace, SequenceConfig
from models.contract.semantic_id import SemanticIdTable
from models.nets.sequence import SequenceModel
from training.config import RunConfig
from training.data.dataset import PreparedDataset
from training.encoders.encode import load_words

SPACE, CODEWORDS, HEALTH = "code_space.json", "codewords.safetensors", "health.json"
FITTED, EVALUATION, EXPORTED = "fitted.json", "evaluation.json", "exported.json"


def data(config: RunConfig) -> PreparedDataset:
    """The prepared data set."""
    return PreparedDataset.load(config.output / "prepare")


def semantic_ids(directory: Path) -> tuple[SemanticIdTable, torch.Tensor]:
    """The table, and the codewords (M, L, K, Q) that its codes stand for; M is 1 if shared."""
    space = CodeSpace.model_validate_json((directory / SPACE).read_text(encoding="utf-8"))
    table = SemanticIdTable.from_arrays(load_file(directory / bundle.FILES.SEMANTIC_IDS), space)
    return table, torch.from_numpy(load_file(directory / CODEWORDS)["codewords"])


def architecture(config: RunConfig, table: SemanticIdTable) -> SequenceConfig:
    """The sequence model that the configuration asks for, as far as items have words."""
    fit = config.fit
    towers = fit.towers
    if not load_words(config.output / "encode").vocabulary_size:
        wordless = (tuple(source for source in tower if source != "words") for tower in towers)
        towers = tuple(filter(None, wordless)) or (("id",),)
    return SequenceConfig(
        code_space=table.space,
        catalogue_size=len(table),
        max_history=fit.max_history,
        width=fit.width,
        blocks=fit.blocks,
        heads=fit.heads,
        dropout=fit.dropout,
        towers=towers,
        behaviour_weight=fit.behaviour_weight,
        block=fit.block,
        reweighting=fit.reweighting,
        edges=fit.edges,
        buckets=fit.buckets,
    )


def catalogue(data: PreparedDataset) -> tuple[CatalogueItem, ...]:
    """Items as the bundle lists them; popularity counts every interaction."""
    popularity = np.bincount(data.histories.items, minlength=data.card.items)
    known = [name for name in ("attributes", "picture") if data.items.schema.get(name) == pl.String]
    rows = data.items.select("item_id", "title", *known).iter_rows(named=True)
    return tuple(
        CatalogueItem(**row, popularity=int(count))
        for row, count in zip(rows, popularity, strict=True)
    )


def contiguous(model: SequenceModel) -> dict[str, torch.Tensor]:
    """Weights as safetensors wants them."""
    return {name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}


def write_json(path: Path, content: object) -> None:
    """Write one small JSON file."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read one small JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
