"""Stage evaluate: the trained model beside baselines, on the test part."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from training import stage_files
from training.config import RunConfig
from training.data.histories import Histories, Part, targets
from training.data.new_items import Mixed, NewItems
from training.encoders.encode import load_content, load_words
from training.evaluate import baselines, details, intervals
from training.evaluate.new_items import NewItemsTable, ranked
from training.evaluate.ranking import Ranker, Ranking, SequenceRanker, Task, metrics
from training.evaluate.report import CUTOFF, OURS, EvaluationTable
from training.fit.learn import load_model
from training.fit.remember import with_memory
from training.memory.memory import MemoryRanker, Recipe, Sources

_NO_LISTS = np.empty((0, 0), np.int64)  # those of many users take much memory


def run(config: RunConfig, directory: Path) -> str:
    """Rank the full catalogue for every user; write and print the table, return the verdict."""
    new = stage_files.new_items(config)
    size, seen = len(new.new_in_N), config.filter_seen
    rankers, decay = _baselines(new.known, size, seen)
    rankers |= _remembered(config, new.known)
    rankers[OURS] = ours(config)
    test = new.warm(Part.TEST, filter_seen=seen)
    users = len(test.held_out.target)
    left_out = len(new.warm(Part.TEST, filter_seen=False).held_out.target) - users
    cutoffs = tuple(sorted({*config.evaluate.cutoffs, CUTOFF}))
    results, sure, rankings = {}, {}, {}
    for name, ranker in rankers.items():
        ranking = ranked(ranker, test, seen, max(cutoffs))
        results[name] = metrics(ranking, size, cutoffs)
        sure[name] = intervals.of_ranking(ranking, cutoffs)
        rankings[name] = ranking if name == OURS else Ranking(ranking.rank_E, _NO_LISTS)
    report = EvaluationTable(
        results, users=users, left_out=left_out, protocol="strict", knn_decay=decay
    )
    found = _of_new_items(config, rankers, new)
    report.print()
    if found:
        found.print()
    content = report.as_json() | {
        "new_items": found.as_json() if found else None,
        "intervals": sure,
        **_details(config, rankings, report.best_baseline(), new.known, test),
    }
    stage_files.write_json(directory / stage_files.EVALUATION, content)
    return report.verdict()


def _details(
    config: RunConfig, rankings: dict[str, Ranking], best: str, known: Histories, test: Mixed
) -> dict[str, Any]:
    """What the report tells of ours and of the best baseline."""
    both = {name: rankings[name] for name in (OURS, best)}
    gain = intervals.gain(both[OURS].rank_E, both[best].rank_E)
    popularity_N = known.up_to(Part.TRAIN).uses(len(test.new_N))
    learned, counted = _learned(config), stage_files.memory(config.output / "fit")
    gained = None
    if counted is not None and len(counted.items_J):
        both_say = with_memory(learned, counted)
        gained = details.memory_gain(learned, both_say, test, config.filter_seen, config.seed)
    return {
        "gain": asdict(gain) if gain else None,
        "slices": [asdict(s) for s in details.slices(both, test.held_out, popularity_N)],
        "memory": asdict(gained) if gained else None,
        "examples": [
            asdict(e) for e in details.examples(rankings[OURS], test.held_out, config.seed)
        ],
    }


def _of_new_items(
    config: RunConfig, rankers: dict[str, Ranker], new: NewItems
) -> NewItemsTable | None:
    """The table of new items, beside those that content resembles; None where there are none."""
    cold = new.cold(Part.TEST).held_out
    if not len(cold.user) or not new.mixed(Part.TEST, filter_seen=False).taken().any():
        return None
    size, seen = len(new.new_in_N), config.filter_seen
    content_ND = load_content(config.output / "encode", size)
    decay = baselines.choose_decay(
        lambda decay: baselines.ContentKnn(content_ND, decay),
        Task(new.cold(Part.VALIDATION).held_out, size, seen),
    )
    knn: dict[str, Ranker] = {"content-knn-decayed": baselines.ContentKnn(content_ND, decay)}
    return NewItemsTable.of(knn | rankers, new, seen)


def _baselines(histories: Histories, size: int, seen: bool) -> tuple[dict[str, Ranker], float]:
    """What the training part tells by counting, and the decay that validation chooses."""
    training = histories.up_to(Part.TRAIN)
    validation = targets(histories, Part.VALIDATION, filter_seen=seen)
    similarity = baselines.item_similarity(training, size, filter_seen=seen)
    decay = baselines.choose_decay(
        lambda decay: baselines.ItemKnn(similarity, decay), Task(validation, size, seen)
    )
    rankers: dict[str, Ranker] = {
        "popularity": baselines.Popularity(training, size),
        "item-knn": baselines.ItemKnn(similarity),
        "item-knn-decayed": baselines.ItemKnn(similarity, decay),
    }
    return rankers, decay


def _remembered(config: RunConfig, histories: Histories) -> dict[str, Ranker]:
    """The memory alone, as ``fit`` mixed it: the best of what is not learned, as a rule."""
    if not any(config.fit.memory):
        return {}
    chosen = stage_files.read_json(config.output / "fit" / stage_files.FITTED)["memory"]
    words = load_words(config.output / "encode")
    sources = Sources.of(histories.up_to(Part.TRAIN), words, config.fit.memory_items)
    recipe = Recipe(**chosen)._replace(weight=1.0)
    return {"memory": MemoryRanker(sources.mix(recipe))}


def ours(config: RunConfig) -> Ranker:
    """What stage fit has trained, and counted."""
    return with_memory(_learned(config), stage_files.memory(config.output / "fit"))


def _learned(config: RunConfig) -> Ranker:
    """What is served but for the memory."""
    table, _ = stage_files.semantic_ids(config.output / "quantize")
    model = load_model(config, config.output / "fit" / stage_files.WEIGHTS, table)
    return SequenceRanker(model, table.codes_NS)
