"""Models that are counted, not learned."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.accuracy.models import MEMORY, TRANSITIONS
from training import stage_files
from training.config import RunConfig
from training.data.histories import EvaluationSet, Histories
from training.encoders.encode import load_content, load_words
from training.evaluate import baselines
from training.evaluate.ranking import Ranker, Task
from training.memory.memory import LIKENESS, MemoryRanker, Recipe, Sources, choose

Chosen = Mapping[str, Any] | None  # what strict chose, for refit; None: it is to be chosen


def ranker(
    model: str, config: RunConfig, known: Histories, validation: EvaluationSet, chosen: Chosen
) -> tuple[Ranker, dict[str, Any]]:
    """One of them, of the histories that are known to it, and what was chosen on validation."""
    size, seen = stage_files.data(config).card.items, config.filter_seen
    if model == "popularity":
        return baselines.Popularity(known, size), {}
    if model in (TRANSITIONS, MEMORY):
        return _memory(model, config, known, validation, chosen)
    make: Callable[[float], Ranker]
    if model == "content-knn":
        content_ND = load_content(config.output / "encode", size)
        make = partial(baselines.ContentKnn, content_ND)
    else:
        make = partial(baselines.ItemKnn, baselines.item_similarity(known, size, filter_seen=seen))
    if model == "item-knn":
        return make(1.0), {}
    task = Task(validation, size, seen)
    decay = chosen["decay"] if chosen else baselines.choose_decay(make, task)
    return make(decay), {"decay": decay}


def _memory(
    model: str, config: RunConfig, known: Histories, validation: EvaluationSet, chosen: Chosen
) -> tuple[Ranker, dict[str, Any]]:
    """The memory alone, whole lists."""
    size = stage_files.data(config).card.items
    sources = Sources.of(known, load_words(config.output / "encode"), size)
    if chosen:
        recipe = Recipe(chosen["likeness"], chosen["decay"], weight=1.0)
    else:
        likeness = LIKENESS if model == MEMORY else (0.0,)
        recipe = choose(sources, likeness, Task(validation, size, config.filter_seen))
    return MemoryRanker(sources.mix(recipe)), recipe._asdict()
