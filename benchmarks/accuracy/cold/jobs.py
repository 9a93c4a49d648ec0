"""One model, trained without a share of the items, and judged on them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.accuracy import jobs as warm
from benchmarks.accuracy import work
from benchmarks.accuracy.cold import models, rivals
from benchmarks.accuracy.cold.store import NEAR, ColdStore, Events, Judged
from benchmarks.accuracy.models import MEMORIES, Settings
from benchmarks.accuracy.models import configured as changed
from benchmarks.accuracy.recipes import UNASKED, digest, laid_out, read_otherwise
from benchmarks.accuracy.store import Job, near
from models.contract.semantic_id import SemanticIdTable
from training import stage_files
from training.config import RunConfig
from training.data.histories import Part
from training.data.new_items import Mixed, NewItems
from training.evaluate.new_items import ranked
from training.evaluate.ranking import Ranker, SequenceRanker
from training.fit.borrowing import borrow
from training.fit.fit_sequence import Fitted
from training.fit.learn import Lesson, load_model
from training.fit.remember import with_memory
from training.run.fit import to_be_made

STORE = ColdStore(work.DOCS / "cold-results")
SCRATCH = work.ROOT / "artifacts" / "cold"
FIXED = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares that all items alike borrowed, before calibration
# What is made of a trained model, as it is when none of it is.
_FINISHED_LATER = {"borrowing": (0.0,), "memory": (0.0,), "new_items_cost": 0.0}
# To be raised when a change of code makes earlier results void. 2: what is borrowed is chosen by
# known items alone. 3: a scale is chosen by how many new items it finds. 4: by how near the top,
# and by what that costs.
_REVISION = 4
_OF_OTHERS = 3  # they have nothing to calibrate


class Trial(NamedTuple):
    """A job, and the share of items that are new to it."""

    job: Job
    cold_share: float


def run(trial: Trial, config: RunConfig, tuned: Settings) -> dict[str, Any]:
    """Train and judge, unless that has been done; the job's facts."""
    job, asked = trial.job, recipe(trial, config, tuned)
    if (done := STORE.read(job)) and done.facts["recipe"] == asked:
        return done.facts
    config = configured(trial, config, tuned)
    new, facts = stage_files.new_items(config), dict[str, Any]()
    for name, ranker, found in _rankers(job, config, new):
        facts = found | {"recipe": asked, "cold_share": trial.cold_share}
        STORE.write(job._replace(model=name), judge(ranker, new, config.filter_seen), facts)
    return facts


def configured(trial: Trial, config: RunConfig, tuned: Settings) -> RunConfig:
    """The configuration of one job; which items are new does not depend on its seed."""
    own: dict[str, Any] = {"evaluate.cold_share": trial.cold_share}
    if trial.job.model in models.LEARNED:
        own |= {"threads": 1, "loggers": ["csv"], **models.settings_of(trial.job.model, tuned)}
    return changed(config, own)


def recipe(trial: Trial, config: RunConfig, tuned: Settings) -> str:
    """Hash of all that the outcome depends on, but for the code and where it ran."""
    learned = trial.job.model in models.LEARNED
    content = laid_out(configured(trial, config, tuned))
    for name in UNASKED if learned else (*UNASKED, "fit", "quantize", "research"):
        content.pop(name)
    content |= {"job": trial.job._asdict()} | read_otherwise(config)
    if learned:
        content["revision"] = _REVISION if trial.job.model in models.OF_OURS else _OF_OTHERS
    return digest(content)


def judge(ranker: Ranker, new: NewItems, filter_seen: bool) -> Judged:
    """Ranks of every event of every kind, and how many of the ten shown are new."""
    found: Judged = {}
    for name, events in events_of(new, filter_seen).items():
        ranking = ranked(ranker, events, filter_seen, top=10 if name == "all-all" else 0)
        found[name] = near(ranking.rank_E, NEAR)
        if name == "all-all":
            new_EK = events.new_N[ranking.top_EK] & (ranking.top_EK >= 0)
            found["shown"] = new_EK.sum(axis=1).astype(np.uint8)
    return found


def events_of(new: NewItems, filter_seen: bool) -> dict[str, Mixed]:
    """By candidates and targets, as KINDS has them."""
    cold, mixed = new.cold(Part.TEST), new.mixed(Part.TEST, filter_seen=filter_seen)
    warm = mixed if new.timed else new.warm(Part.TEST, filter_seen=filter_seen)
    known = warm.held_out.take(np.flatnonzero(~warm.taken()))
    return {
        "all-cold": cold,
        "cold-cold": cold._replace(hidden_N=~cold.new_N),
        "all-warm": warm._replace(held_out=known),
        "all-all": mixed,
    }


def keep_events(dataset: str, config: RunConfig, cold_share: float) -> None:
    """Write down what all models of a data set are judged on."""
    config = changed(config, {"evaluate.cold_share": cold_share})
    new = stage_files.new_items(config)
    kinds = {
        kind: {
            "user": events.held_out.user.astype(np.int32),
            "target": events.held_out.target.astype(np.int32),
            "new": events.taken(),
        }
        for kind, events in events_of(new, config.filter_seen).items()
    }
    share = 0.0 if new.timed else cold_share
    STORE.write_events(dataset, Events(config.split.kind, share, kinds))


def _rankers(
    job: Job, config: RunConfig, new: NewItems
) -> Iterator[tuple[str, Ranker, dict[str, Any]]]:
    """The job's model; of one with a memory also what it was without, and before calibration."""
    if job.model not in models.LEARNED:
        yield (job.model, *rivals.ranker(job.model, config, new))
        return
    known, choices = new.known.up_to(Part.TRAIN), to_be_made(config, new)
    lesson = Lesson(config, *codes(job, config), known, choices)
    fitted, table = _trained(job, lesson), lesson.table
    if base := MEMORIES.get(job.model):
        if loans := lesson.loans():
            for share in FIXED:
                fixed = borrow(fitted.model, table, loans, share)
                yield f"{base}-share-{share:g}", SequenceRanker(fixed, table.codes_NS), {}
        without = changed(config, {"fit.memory": [0.0]})
        yield base, *_finished(replace(lesson, config=without), fitted)
    yield job.model, *_finished(lesson, fitted)


def _finished(lesson: Lesson, fitted: Fitted) -> tuple[Ranker, dict[str, Any]]:
    done = lesson.finish(fitted)
    return with_memory(SequenceRanker(done.model, lesson.table.codes_NS), done.memory), {
        "epochs": fitted.epochs,
        "validation_ndcg@10": fitted.validation_ndcg,
        "borrowing": done.borrowing,
        "memory": done.recipe._asdict(),
        "calibration": done.calibration._asdict(),
        "exposure": done.exposure._asdict() if done.exposure else None,
    }


def _trained(job: Job, lesson: Lesson) -> Fitted:
    """The model as training leaves it, once: how new items are treated is tried without another."""
    # Seeds change the model, not the items that are new, nor who is validated on.
    config = lesson.config
    seeded = config.model_copy(update={"seed": job.seed})
    asked = seeded.model_copy(update={"fit": config.fit.model_copy(update=_FINISHED_LATER)})
    directory = warm.folder(SCRATCH, job) / digest(laid_out(asked))
    directory.mkdir(parents=True, exist_ok=True)
    weights, facts = directory / stage_files.WEIGHTS, directory / stage_files.FITTED
    if facts.exists():
        model = load_model(config, weights, lesson.table)
        return Fitted(model, **stage_files.read_json(facts), words=model.word_vectors())
    fitted = replace(lesson, config=seeded).train(directory)
    save_file({k: v.contiguous() for k, v in fitted.model.state_dict().items()}, weights)
    chosen = {"epochs": fitted.epochs, "validation_ndcg": fitted.validation_ndcg}
    stage_files.write_json(facts, chosen)
    for checkpoint in directory.glob("*.ckpt"):
        checkpoint.unlink()
    return fitted


def codes(job: Job, config: RunConfig) -> tuple[SemanticIdTable, Tensor]:
    """The job's semantic IDs, or the same dealt out to items at random, and their codewords."""
    seeded = config.model_copy(update={"seed": job.seed})
    known = stage_files.new_items(config).known.up_to(Part.TRAIN)
    directory = warm.codes_for(job, seeded, SCRATCH / f"new-{config.evaluate.cold_share:g}", known)
    table, codewords_MLKQ = stage_files.semantic_ids(directory)
    if job.model == models.RANDOM_CODES:
        dealt_N = np.random.default_rng(job.seed).permutation(len(table))
        codes_NS, extra_N = table.codes_NS[dealt_N], table.extra_N[dealt_N]
        table = SemanticIdTable(table.space, codes_NS, extra_N)
    return table, codewords_MLKQ
