"""A sequence model over semantic IDs, from any part of the histories."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import save_file

from models.contract.config import Architecture, SequenceConfig, Towers, Variants
from models.contract.semantic_id import SemanticIdTable
from models.nets.sequence import SequenceModel
from training import stage_files
from training.config import RunConfig
from training.curves import make_loggers
from training.data.histories import EvaluationSet, Histories
from training.encoders.encode import load_content, load_words
from training.fit.borrowing import Loans, borrow, loans, try_shares
from training.fit.fit_sequence import Fitted, fit_sequence, new_model
from training.processes import seed_run, this_process
from training.progress import trainer_options


class Choices(NamedTuple):
    """What a training has to choose, and from what.

    Without ``validation`` nothing is chosen: all epochs are trained, the first share is borrowed.
    """

    epochs: int  # at most
    shares: Sequence[float]  # that rare and new items may borrow
    validation: EvaluationSet | None


def learn_sequence(
    config: RunConfig, codes: Path, histories: Histories, choices: Choices, directory: Path
) -> Fitted:
    """A sequence model over the semantic IDs in the folder ``codes``; weights to ``directory``."""
    table, codewords_MLKQ = stage_files.semantic_ids(codes)
    seed_run(config.seed, config.threads)
    words = load_words(config.output / "encode")
    fitted = fit_sequence(
        new_model(architecture(config, table), table, codewords_MLKQ, words, histories),
        table,
        histories,
        choices.validation,
        config.fit,
        choices.epochs,
        config.seed,
        directory,
        config.filter_seen,
        make_loggers(config.loggers, directory),
        **trainer_options(directory),
    )
    found = _loans(config, table, histories, choices)
    if found:
        fitted = _borrowed(fitted, table, found, choices, config.filter_seen)
    if this_process().rank == 0:
        _write(fitted, directory)
    return fitted


def architecture(config: RunConfig, table: SemanticIdTable) -> SequenceConfig:
    """The sequence model that the configuration asks for, as far as items have words."""
    fit, research = config.fit, config.research
    chosen = {name: getattr(fit, name) for name in Architecture.model_fields}
    variants = {name: getattr(research, name) for name in Variants.model_fields}
    if not load_words(config.output / "encode").vocabulary_size:
        chosen["towers"] = _wordless(fit.towers)
    return SequenceConfig(
        code_space=table.space,
        catalogue_size=len(table),
        reweighting=research.reweighting if fit.reweighting else "off",
        **chosen,
        **variants,
    )


def load_model(config: RunConfig, weights: Path, table: SemanticIdTable) -> SequenceModel:
    """A model that ``learn_sequence`` wrote, in evaluation mode."""
    return SequenceModel.load(weights, architecture(config, table))


def _wordless(towers: Towers) -> Towers:
    """Towers where no item has words: those that would see nothing are left out."""
    left = (tuple(source for source in tower if source != "words") for tower in towers)
    return tuple(filter(None, left)) or (("id",),)


def _loans(
    config: RunConfig, table: SemanticIdTable, histories: Histories, choices: Choices
) -> Loans | None:
    """Whom items may borrow from; None where nothing is to be borrowed, or from nobody."""
    if not any(choices.shares):
        return None
    return loans(load_content(config.output / "encode", len(table)), histories)


def _borrowed(
    fitted: Fitted, table: SemanticIdTable, found: Loans, choices: Choices, filter_seen: bool
) -> Fitted:
    """Let rare and new items borrow the share that is best on validation."""
    tried: dict[float, float] = {}
    if held_out := choices.validation:
        tried = try_shares(fitted.model, table, found, choices.shares, held_out, filter_seen)
    best = max(tried, key=lambda share: tried[share]) if tried else choices.shares[0]
    model = borrow(fitted.model, table, found, best)
    return Fitted(model, fitted.epochs, tried.get(best), fitted.words, best, tried)


def _write(fitted: Fitted, directory: Path) -> None:
    weights = fitted.model.state_dict()
    contiguous = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    save_file(contiguous, directory / stage_files.WEIGHTS)
    save_file(fitted.words._asdict(), directory / stage_files.WORD_VECTORS)
    chosen = {
        "epochs": fitted.epochs,
        "validation_ndcg@10": fitted.validation_ndcg,
        "borrowing": fitted.borrowing,
    }
    stage_files.write_json(directory / stage_files.FITTED, chosen)
