"""What is learned, codes and then a sequence model, from any part of the histories."""

from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from models.contract import bundle
from models.contract.semantic_id import Resolution, SemanticIdTable
from models.contract.types import BEHAVIOUR, Modality
from models.nets.quantizer import Quantizer
from training.config import RunConfig
from training.data.histories import EvaluationSet, Histories
from training.encoders.encode import load_content, load_embeddings, load_words
from training.fit.borrowing import borrow, loans, try_shares
from training.fit.curves import make_loggers
from training.fit.fit_sequence import Fitted, fit_sequence, new_model
from training.processes import this_process
from training.progress import trainer_options
from training.quantize.behaviour import behaviour_embeddings
from training.quantize.fit_quantizer import View, build_table, code_space, fit_quantizer
from training.quantize.health import code_health
from training.run import outputs


def learn_codes(config: RunConfig, histories: Histories, directory: Path) -> Resolution:
    """Codebook, semantic IDs and their health, from content and these histories only."""
    data = outputs.data(config)
    views = _views(config, histories, data.card.items)
    space = code_space(views, config.quantize)
    _seed(config)
    quantizer = Quantizer(
        space,
        {modality: view.vectors_NX.shape[1] for modality, view in views.items()},
        data.card.items,
        config.quantize.hidden_size,
        config.quantize.shared_codebook,
    )
    module = fit_quantizer(
        quantizer,
        views,
        histories,
        config.quantize,
        config.seed,
        directory,
        make_loggers(config.loggers, directory),
        **trainer_options(directory),
    )
    resolution = build_table(quantizer.eval(), views)
    save_torch(quantizer.state_dict(), directory / "quantizer.safetensors")
    save_file(resolution.table.arrays(), directory / bundle.FILES.SEMANTIC_IDS)
    save_torch({"codewords": quantizer.codewords()}, directory / outputs.CODEWORDS)
    outputs.write_json(directory / outputs.SPACE, space.model_dump(mode="json"))
    outputs.write_json(directory / outputs.HEALTH, code_health(module, resolution))
    return resolution


def learn_sequence(
    config: RunConfig,
    codes: Path,
    histories: Histories,
    directory: Path,
    epochs: int,
    validation: EvaluationSet | None,
    shares: Sequence[float],
) -> Fitted:
    """A sequence model over the semantic IDs in the folder ``codes``; weights to ``directory``.

    validation: what the epoch and the borrowed share are chosen on. Without it all ``epochs`` are
    trained, and the first of ``shares`` is borrowed.
    """
    table, codewords_MLKQ = outputs.semantic_ids(codes)
    _seed(config)
    words = load_words(config.output / "encode")
    architecture = outputs.architecture(config, table)
    model = new_model(architecture, table, codewords_MLKQ, words, histories)
    fitted = fit_sequence(
        model,
        table,
        histories,
        validation,
        config.fit,
        epochs,
        config.seed,
        directory,
        config.evaluate.filter_seen,
        make_loggers(config.loggers, directory),
        **trainer_options(directory),
    )
    fitted = _borrowed(fitted, table, histories, validation, shares, config)
    if this_process().rank == 0:
        save_torch(outputs.contiguous(fitted.model), directory / bundle.FILES.WEIGHTS)
        outputs.write_json(
            directory / outputs.FITTED,
            {
                "epochs": fitted.epochs,
                "validation_ndcg@10": fitted.validation_ndcg,
                "borrowing": fitted.borrowing,
            },
        )
    return fitted


def _borrowed(
    fitted: Fitted,
    table: SemanticIdTable,
    histories: Histories,
    validation: EvaluationSet | None,
    shares: Sequence[float],
    config: RunConfig,
) -> Fitted:
    """Let rare and new items borrow the share that is best on validation."""
    if not any(shares):
        return fitted
    found = loans(load_content(config.output / "encode", len(table)), histories)
    if not found:
        return fitted
    seen = config.evaluate.filter_seen
    tried = try_shares(fitted.model, table, found, shares, validation, seen) if validation else {}
    best = max(tried, key=lambda share: tried[share]) if tried else shares[0]
    model = borrow(fitted.model, table, found, best)
    return Fitted(model, fitted.epochs, tried.get(best), best, tried)


def _views(config: RunConfig, histories: Histories, items: int) -> dict[Modality, View]:
    views = {
        modality: View.standardise(embedding.vectors_ND, embedding.present_N)
        for modality, embedding in load_embeddings(config.output / "encode").items()
    }
    size = config.quantize.behaviour_size
    behaviour = behaviour_embeddings(histories, items, size, config.seed)
    views[BEHAVIOUR] = View.standardise(*behaviour)
    return views


def _seed(config: RunConfig) -> None:
    L.seed_everything(config.seed, verbose=False)
    if config.threads:
        torch.set_num_threads(config.threads)
