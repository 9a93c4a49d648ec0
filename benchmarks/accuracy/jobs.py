"""One model, trained and tested once: what the table is made of."""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from benchmarks.accuracy import counted, models
from benchmarks.accuracy.models import Settings
from benchmarks.accuracy.peers import train_peer
from benchmarks.accuracy.recipes import as_hashed, configured, recipe
from benchmarks.accuracy.store import TOP, Job, Protocol, Store
from models.contract.config import CodeSpace
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import BEHAVIOUR
from training import stage_files
from training.config import RunConfig
from training.data.histories import EvaluationSet, Histories, Part, targets
from training.evaluate.ranking import Ranker, SequenceRanker, Task, rank
from training.fit.fit_sequence import Fitted
from training.fit.learn import Choices, Lesson, learn_sequence, load_model
from training.fit.remember import with_memory
from training.fit.sequence_module import MONITOR
from training.memory.memory import Recipe
from training.quantize.learn import learn_codes
from training.report.collect import curves

_MARK = "recipe.txt"  # which training a folder is of


class Workshop(NamedTuple):
    """Where jobs leave what they make."""

    store: Store  # results: small, kept with the project
    scratch: Path  # weights, codes and checkpoints


def run(job: Job, config: RunConfig, settings: Settings, workshop: Workshop) -> dict[str, Any]:
    """Train and test, unless this very job has been done; the job's facts.

    strict: nothing after the training part is seen, the epoch is chosen on validation. refit: the
    same settings and number of epochs, trained again on train and validation.
    """
    asked = recipe(job, config, settings)
    done = workshop.store.read(job)
    if done and done.facts["recipe"] == asked:
        return done.facts
    _go_on_or_start_over(folder(workshop.scratch, job), asked)
    started = time.process_time()
    ranker, facts = _learner(job.model)(job, config, settings, workshop)
    data = stage_files.data(config)
    test = targets(data.histories, Part.TEST, filter_seen=config.filter_seen)
    ranking = rank(ranker, Task(test, data.card.items, config.filter_seen), TOP)
    minutes = facts.pop("minutes", 0.0) + (time.process_time() - started) / 60
    facts |= _shown(ranking.top_EK[:, :10], known_to("strict", config), data.card.items)
    facts |= {"recipe": asked, "minutes": round(minutes, 2)}
    workshop.store.write(job, ranking.rank_E, facts)
    return facts


def _go_on_or_start_over(directory: Path, recipe: str) -> None:
    """Keep checkpoints of the same job that was cut short, and of no other."""
    if not _made_by(directory, recipe):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        (directory / _MARK).write_text(recipe, encoding="utf-8")


def _made_by(directory: Path, recipe: str) -> bool:
    mark = directory / _MARK
    return mark.exists() and mark.read_text(encoding="utf-8") == recipe


def left_by(job: Job, recipe: str, workshop: Workshop) -> Path | None:
    """The folder with the weights of a finished training, if that was made here.

    ``recipe`` says which: one of other settings may have left a result, or taken the folder, and
    one of the same that was cut short, beside a kept result, leaves checkpoints alone.
    """
    done, directory = workshop.store.read(job), folder(workshop.scratch, job)
    finished = done is not None and done.facts["recipe"] == recipe
    whole = (directory / stage_files.WEIGHTS).exists() and not any(directory.glob("*.ckpt"))
    return directory if finished and _made_by(directory, recipe) and whole else None


def run_both(
    strict: Job, config: RunConfig, settings: Settings, workshop: Workshop
) -> dict[str, Any]:
    """A strict job, then refit with the choices that it made; refit's facts, minutes of both."""
    minutes = run(strict, config, settings, workshop)["minutes"]
    facts = run(strict._replace(protocol="refit"), config, settings, workshop)
    return facts | {"minutes": minutes + facts["minutes"]}


def _shown(top_UK: NDArray[np.int64], training: Histories, items: int) -> dict[str, float]:
    """Share of the catalogue that anybody is shown, and how popular that is, as a percentile."""
    count_N = training.uses(items)
    percentile_N = count_N.argsort().argsort() / max(1, items - 1)
    shown = top_UK[top_UK >= 0]
    return {
        "coverage@10": len(np.unique(shown)) / items,
        "popularity@10": float(percentile_N[shown].mean()),
    }


def folder(scratch: Path, job: Job) -> Path:
    """Where a job's weights and checkpoints lie."""
    return scratch / job.dataset / job.model / f"seed-{job.seed}" / job.protocol


def known_to(protocol: Protocol, config: RunConfig) -> Histories:
    """What a protocol may train on."""
    part = Part.TRAIN if protocol == "strict" else Part.VALIDATION
    return stage_files.data(config).histories.up_to(part)


def train(
    job: Job, config: RunConfig, settings: Settings, workshop: Workshop, directory: Path
) -> dict[str, Any]:
    """Codes and sequence model of one job, weights to ``directory``: epochs, validation, codes."""
    config = configured(job, config, settings)
    started = time.process_time()
    codes = codes_for(job, config, workshop.scratch)
    own_minutes = (time.process_time() - started) / 60  # of codes that no other job had learned
    known = known_to(job.protocol, config)
    choices = _choices(job, config, workshop.store)
    fitted = learn_sequence(config, codes, known, choices, directory)
    for checkpoint in directory.glob("*.ckpt"):
        checkpoint.unlink()
    return {
        "epochs": fitted.epochs,
        "validation_ndcg@10": fitted.validation_ndcg,
        "curve": validation_curve(directory),
        "borrowing": fitted.borrowing,
        "borrowing_tried": fitted.tried,
        "codes": str(codes.relative_to(workshop.scratch)),
        "health": stage_files.read_json(codes / stage_files.HEALTH) if uses_codes(config) else {},
        "minutes": stage_files.read_json(codes / "minutes.json") - own_minutes,
    }


def validation_curve(directory: Path) -> list[float]:
    """Validation NDCG@10 by epoch; empty of refit, which validates on nothing."""
    return [value for curve in curves(directory, (MONITOR,)) for _, value in curve.points]


def _choices(job: Job, config: RunConfig, store: Store) -> Choices:
    """Refit takes what strict chose."""
    if job.protocol == "refit":
        chosen = _strict_facts(job, store)  # older results know of no borrowing
        mixed = Recipe(**chosen.get("memory", {}))
        return Choices(chosen["epochs"], (chosen.get("borrowing", 0.0),), None, recipe=mixed)
    held_out = validation_set(config).sample(config.evaluate.validation_users, config.seed)
    return Choices(config.fit.epochs, config.fit.borrowing, held_out)


def validation_set(config: RunConfig) -> EvaluationSet:
    """What settings, epochs and decays are chosen on."""
    histories = stage_files.data(config).histories.up_to(Part.VALIDATION)
    return targets(histories, Part.VALIDATION, filter_seen=config.filter_seen)


def _strict_facts(job: Job, store: Store) -> dict[str, Any]:
    strict = store.read(job._replace(protocol="strict"))
    if strict is None:
        raise ValueError(f"{job} needs its strict run first: that makes the choices")
    return strict.facts


def codes_for(job: Job, config: RunConfig, scratch: Path, known: Histories | None = None) -> Path:
    """The folder with this job's semantic IDs; jobs that ask for the same ones share them.

    known: what they are learned from, if not what the protocol says.
    """
    if not uses_codes(config):
        return _no_codes(
            scratch / job.dataset / "codes" / "none", stage_files.data(config).card.items
        )
    asked = json.dumps(as_hashed(config)["quantize"]) + f"{job.protocol} {job.seed}"
    directory = scratch / job.dataset / "codes" / hashlib.sha256(asked.encode()).hexdigest()[:12]
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another job may be learning the same codes
        if not (directory / "minutes.json").exists():
            started = time.process_time()
            learn_codes(config, known or known_to(job.protocol, config), directory)
            (directory / "last.ckpt").unlink()
            stage_files.write_json(directory / "minutes.json", (time.process_time() - started) / 60)
    return directory


def uses_codes(config: RunConfig) -> bool:
    """Whether the model looks at semantic IDs at all."""
    seen = any("codes" in tower for tower in config.fit.towers)
    return seen or config.fit.reweighting


def _no_codes(directory: Path, items: int) -> Path:
    """Unique codes that say nothing, for models that do not look at them."""
    space = CodeSpace(modalities=(BEHAVIOUR,), levels=2, codebook_size=4096, vector_size=2)
    codes_NS = np.stack(np.divmod(np.arange(items), 4096), 1).astype(np.uint16)
    table = SemanticIdTable(space, codes_NS, np.zeros(items, np.uint16))
    directory.mkdir(parents=True, exist_ok=True)
    save_file(table.arrays(), directory / stage_files.SEMANTIC_IDS)
    save_torch({"codewords": torch.zeros(1, 2, 4096, 2)}, directory / stage_files.CODEWORDS)
    stage_files.write_json(directory / stage_files.SPACE, space.model_dump(mode="json"))
    stage_files.write_json(directory / "minutes.json", 0.0)
    return directory


Learner = Callable[[Job, RunConfig, Settings, Workshop], tuple[Ranker, dict[str, Any]]]


def _learner(model: str) -> Learner:
    if model in models.COUNTED:
        return _count
    if model in models.MEMORIES:
        return _remember
    return _peer if model in models.PEERS else _learn


def _peer(
    job: Job, config: RunConfig, settings: Settings, workshop: Workshop
) -> tuple[Ranker, dict[str, Any]]:
    config = configured(job, config, settings)
    choices = _choices(job, config, workshop.store)
    histories = stage_files.data(config).histories
    test = targets(histories, Part.TEST, filter_seen=config.filter_seen)
    return train_peer(
        "sasrec" if job.model == "rectools-sasrec" else "esasrec",
        config,
        known_to(job.protocol, config),
        choices.validation,
        test,
        choices.epochs,
        job.seed,
        folder(workshop.scratch, job),
    )


def _learn(
    job: Job, config: RunConfig, settings: Settings, workshop: Workshop
) -> tuple[Ranker, dict[str, Any]]:
    directory = folder(workshop.scratch, job)
    facts = train(job, config, settings, workshop, directory)
    table, _ = stage_files.semantic_ids(workshop.scratch / facts["codes"])
    config = configured(job, config, settings)
    model = load_model(config, directory / stage_files.WEIGHTS, table)
    return SequenceRanker(model, table.codes_NS), facts


def _remember(
    job: Job, config: RunConfig, settings: Settings, workshop: Workshop
) -> tuple[Ranker, dict[str, Any]]:
    """The weights of another model, trained if they are not there, and the memory."""
    base = job._replace(model=models.MEMORIES[job.model])
    asked, directory = recipe(base, config, settings), folder(workshop.scratch, base)
    done = workshop.store.read(base)
    if done and left_by(base, asked, workshop):
        facts = done.facts
    else:
        _go_on_or_start_over(directory, asked)
        facts = train(base, config, settings, workshop, directory)
    table, codewords_MLKQ = stage_files.semantic_ids(workshop.scratch / facts["codes"])
    config, known = configured(job, config, settings), known_to(job.protocol, config)
    model = load_model(config, directory / stage_files.WEIGHTS, table)
    fitted = Fitted(model, facts["epochs"], None, model.word_vectors())
    choices = _choices(job, config, workshop.store)
    fitted = Lesson(config, table, codewords_MLKQ, known, choices).remember(fitted)
    facts = {**facts, "memory": fitted.recipe._asdict()}
    return with_memory(SequenceRanker(model, table.codes_NS), fitted.memory), facts


def _count(
    job: Job, config: RunConfig, settings: Settings, workshop: Workshop
) -> tuple[Ranker, dict[str, Any]]:
    chosen = _strict_facts(job, workshop.store) if job.protocol == "refit" else None
    held_out = validation_set(config)
    return counted.ranker(job.model, config, known_to(job.protocol, config), held_out, chosen)
