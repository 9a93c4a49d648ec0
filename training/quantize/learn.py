"""Codes of every item, from content and any part of the histories."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from models.contract.semantic_id import Resolution
from models.contract.types import BEHAVIOUR, Modality
from models.nets.quantizer import Quantizer
from training import stage_files
from training.config import RunConfig
from training.data.histories import Histories
from training.encoders.encode import load_embeddings
from training.errors import UserError
from training.processes import seed_run
from training.progress import trainer_options
from training.quantize.behaviour import behaviour_embeddings
from training.quantize.codes import build_table, code_space
from training.quantize.fit_quantizer import QuantizerModule, fit_quantizer
from training.quantize.health import code_health
from training.quantize.views import View


def learn_codes(config: RunConfig, histories: Histories, directory: Path) -> Resolution:
    """Codebook, semantic IDs and their health, from content and these histories only.

    All of them are written to ``directory``. Raises UserError where histories tell nothing.
    """
    if not (np.diff(histories.offsets) > 1).any():
        raise UserError(
            "nothing tells what follows what: nobody has two interactions to learn from, "
            "before those that are held out"
        )
    items = stage_files.data(config).card.items
    views = _views(config, histories, items)
    seed_run(config.seed, config.threads)
    module = fit_quantizer(
        _fresh(config, views, items),
        views,
        histories,
        config.quantize,
        config.seed,
        directory,
        research=config.research,
        **trainer_options(directory, config.loggers),
    )
    resolution = build_table(module.quantizer.eval(), views)
    _write(module, resolution, directory)
    return resolution


def _views(config: RunConfig, histories: Histories, items: int) -> dict[Modality, View]:
    """Every modality that has vectors, standardised; behaviour last."""
    views = {
        modality: View.standardise(embedding.vectors_ND, embedding.present_N)
        for modality, embedding in load_embeddings(config.output / "encode").items()
    }
    size = config.quantize.behaviour_size
    behaviour = behaviour_embeddings(histories, items, size, config.seed)
    views[BEHAVIOUR] = View.standardise(*behaviour)
    if not any(view.present_N.any() for view in views.values()):
        raise UserError("nothing tells items apart: none has content, and use tells of none")
    return views


def _fresh(config: RunConfig, views: dict[Modality, View], items: int) -> Quantizer:
    return Quantizer(
        code_space(views, config.quantize),
        {modality: view.vectors_NX.shape[1] for modality, view in views.items()},
        items,
        config.quantize.hidden_size,
        config.research.shared_codebook,
    )


def _write(module: QuantizerModule, resolution: Resolution, directory: Path) -> None:
    quantizer, table = module.quantizer, resolution.table
    save_torch(quantizer.state_dict(), directory / stage_files.QUANTIZER)
    save_file(table.arrays(), directory / stage_files.SEMANTIC_IDS)
    save_torch({"codewords": quantizer.codewords()}, directory / stage_files.CODEWORDS)
    stage_files.write_json(directory / stage_files.SPACE, table.space.model_dump(mode="json"))
    stage_files.write_json(directory / stage_files.HEALTH, code_health(module, resolution))
