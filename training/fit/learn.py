"""A sequence model over semantic IDs, from any part of the histories."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from models.contract.config import Architecture, SequenceConfig, Towers, Variants
from models.contract.semantic_id import SemanticIdTable
from models.nets.rows import code_tensor
from models.nets.sequence import SequenceModel
from training import stage_files
from training.config import RunConfig
from training.data.histories import EvaluationSet, Histories
from training.data.new_items import Mixed
from training.encoders.encode import load_content, load_words
from training.evaluate.ranking import SequenceRanker, Task
from training.fit.borrowing import Loans, borrow, has_vector, loans, try_shares
from training.fit.calibrate import Calibration, Scored, choose
from training.fit.fit_sequence import Fitted, fit_sequence, new_model
from training.fit.remember import choose_recipe, with_memory
from training.fit.word_ridge import foretell
from training.memory.live import Passing, Worth, choose_live, memory_of
from training.memory.memory import LIKENESS, Recipe, Sources
from training.processes import seed_run, this_process
from training.progress import trainer_options

Start = Callable[[SequenceModel], None]  # gives a fresh model other weights to begin with


class Choices(NamedTuple):
    """What a training may choose from, and what it chooses by.

    Without ``validation`` nothing is chosen: all epochs are trained, the first share is borrowed,
    the memory is made by ``recipe``, and new items' scores are brought to scale by ``calibration``.
    """

    epochs: int  # at most
    shares: Sequence[float]  # that rare and new items may borrow
    validation: EvaluationSet | None
    mixed: Mixed | None = None  # of validation, to calibrate by
    calibration: Calibration = Calibration()
    recipe: Recipe = Recipe()
    passing: Passing | None = None  # what live counts are tried on; None where there are no times

    @classmethod
    def made(cls, fitted: Mapping[str, Any], epochs: int | None = None) -> Self:
        """As an earlier training chose, by its ``fitted.json``, but for ``epochs`` if told."""
        return cls(
            epochs=fitted["epochs"] if epochs is None else epochs,
            shares=(fitted["borrowing"],),
            validation=None,
            calibration=Calibration(**fitted["calibration"]),
            recipe=Recipe(**fitted["memory"]),
        )


def learn_sequence(
    config: RunConfig,
    codes: Path,
    histories: Histories,
    choices: Choices,
    directory: Path,
    start: Start | None = None,
) -> Fitted:
    """A sequence model over the semantic IDs in the folder ``codes``; weights to ``directory``."""
    lesson = Lesson(config, *stage_files.semantic_ids(codes), histories, choices)
    fitted = lesson.finish(lesson.train(directory, start))
    if this_process().rank == 0:
        _write(fitted, directory)
    return fitted


@dataclass(frozen=True)
class Lesson:
    """What a sequence model is learned from, and how."""

    config: RunConfig
    table: SemanticIdTable
    codewords_MLKQ: Tensor
    histories: Histories
    choices: Choices

    def train(self, directory: Path, start: Start | None = None) -> Fitted:
        """The model as training leaves it; checkpoints to ``directory``."""
        config, table, histories = self.config, self.table, self.histories
        seed_run(config.seed, config.threads)
        words = load_words(config.output / "encode")
        model = new_model(architecture(config, table), table, self.codewords_MLKQ, words, histories)
        if start is not None:
            start(model)
        return fit_sequence(
            model,
            table,
            histories,
            self.choices.validation,
            config.fit,
            self.choices.epochs,
            config.seed,
            directory,
            config.filter_seen,
            **trainer_options(directory, config.loggers),
        )

    def finish(self, fitted: Fitted) -> Fitted:
        """The model as it is served.

        New items get what their words foretell, rare and new ones borrow, the memory is added,
        and new items' scores are calibrated.
        """
        if any(self.config.fit.borrowing):
            words = load_words(self.config.output / "encode")
            told = foretell(fitted.model, fitted.words, words, self.histories)
            fitted = self._borrowed(fitted._replace(words=told))
        return self._calibrated(self.remember(fitted))

    def loans(self) -> Loans | None:
        """Whom items may borrow from; None where from nobody."""
        encoded = self.config.output / "encode"
        return loans(load_content(encoded, len(self.table)), self.histories)

    def _borrowed(self, fitted: Fitted) -> Fitted:
        """Let rare and new items borrow the share that is best on validation."""
        if (found := self.loans()) is None:
            return fitted
        tried, shares = dict[float, float](), self.choices.shares
        if task := self._task():
            tried = try_shares(fitted.model, self.table, found, shares, task)
        best = max(tried, key=lambda share: tried[share]) if tried else shares[0]
        model = borrow(fitted.model, self.table, found, best)
        score = tried.get(best)
        return fitted._replace(model=model, validation_ndcg=score, borrowing=best, tried=tried)

    def _task(self) -> Task | None:
        """The task by which is chosen; None where nothing is.

        New items are hidden: their scores are brought to scale after all else.
        """
        if self.choices.validation is None:
            return None
        mixed = self.choices.mixed
        hidden_N = mixed.new_N | mixed.hidden_N if mixed else None
        size, filter_seen = len(self.table), self.config.filter_seen
        return Task(self.choices.validation, size, filter_seen, hidden_N)

    def remember(self, fitted: Fitted) -> Fitted:
        """With the memory of these histories, if it is worth anything beside the model."""
        config, size = self.config, len(self.table)
        if not any(config.fit.memory):
            return fitted
        recipe, words = self.choices.recipe, load_words(config.output / "encode")
        sources = Sources.of(self.histories, words, config.fit.memory_items)
        if task := self._task():
            ranker = SequenceRanker(fitted.model, self.table.codes_NS)
            alike = LIKENESS if config.research.likeness else (0.0,)
            recipe = choose_recipe(ranker, sources, alike, config.fit.memory, task)
        if recipe.weight:
            return fitted._replace(recipe=recipe, memory=sources.mix(recipe))
        if self.choices.passing is not None:
            ranker = SequenceRanker(fitted.model, self.table.codes_NS)
            worth = choose_live(ranker, self.choices.passing, size, config.filter_seen)
            recipe = recipe._replace(live=worth.weight, live_decay=worth.decay)
        worth = Worth(recipe.live, recipe.live_decay)
        memory = memory_of(worth, size) if recipe.live else None
        return fitted._replace(recipe=recipe, memory=memory)

    def _calibrated(self, fitted: Fitted) -> Fitted:
        """Bring the scores of items that training never saw, but knows something of, to scale."""
        model, memory, mixed = fitted.model, fitted.memory, self.choices.mixed
        calibration, exposure = self.choices.calibration, None
        codes_NS = code_tensor(self.table.codes_NS, model.seen.device)
        new_N = self._new(model, codes_NS)
        if mixed and model.has_free_column():
            # Not those of validation alone: what nobody ever used is brought to scale with them.
            mixed = mixed._replace(new_N=new_N & ~mixed.hidden_N)
            ranker = with_memory(SequenceRanker(model, self.table.codes_NS), memory)
            scored = Scored.by(ranker, mixed, self.config.filter_seen)
            if chosen := choose(scored, self.config.fit.new_items_cost):
                calibration, exposure = chosen, scored.exposure(chosen)
        if calibration != Calibration():
            model.calibrate(codes_NS, torch.from_numpy(new_N).to(model.seen), *calibration)
            memory = memory.scaled(new_N, calibration.scale) if memory is not None else None
        return fitted._replace(memory=memory, calibration=calibration, exposure=exposure)

    def _new(self, model: SequenceModel, codes_NS: Tensor) -> NDArray[np.bool_]:
        """(N,): items that training never saw, and whose vectors say something all the same."""
        new_N = _described(self.config.output / "encode", len(codes_NS))
        new_N[self.histories.items] = False
        new_J = torch.from_numpy(np.flatnonzero(new_N)).to(codes_NS.device)
        new_N[new_N] = has_vector(model, codes_NS, new_J).cpu().numpy()
        return new_N


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


def _described(encoded: Path, size: int) -> NDArray[np.bool_]:
    """(N,): items that have vectors or words."""
    words_N = np.diff(load_words(encoded).offsets) > 0
    described_N: NDArray[np.bool_] = words_N | load_content(encoded, size).any(axis=1)
    return described_N


def _write(fitted: Fitted, directory: Path) -> None:
    weights = fitted.model.state_dict()
    contiguous = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    save_file(contiguous, directory / stage_files.WEIGHTS)
    save_file(fitted.words._asdict(), directory / stage_files.WORD_VECTORS)
    stage_files.write_memory(directory, fitted.memory)
    chosen = {
        "epochs": fitted.epochs,
        "validation_ndcg@10": fitted.validation_ndcg,
        "borrowing": fitted.borrowing,
        "memory": fitted.recipe._asdict(),
        "calibration": fitted.calibration._asdict(),
        "exposure": fitted.exposure._asdict() if fitted.exposure else None,
    }
    stage_files.write_json(directory / stage_files.FITTED, chosen)
