"""Every result that is kept is of the configurations as they stand: none has become void."""

from typing import Any

import pytest

from benchmarks.accuracy import models, recipes, work
from benchmarks.accuracy.cold import jobs
from benchmarks.accuracy.cold import models as cold
from benchmarks.accuracy.cold.__main__ import USUAL
from benchmarks.accuracy.models import COUNTED, LEARNED, PEERS
from benchmarks.accuracy.results import PROTOCOLS
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.trials import Trials

RESULTS, TRIALS = work.WORKSHOP.store, Trials(work.TRIALS)
DATASETS = [name for name in RESULTS.datasets() if (work.CONFIGS / f"{name}.toml").exists()]


def kept(dataset: str) -> list[Job]:
    return [
        job
        for model in (*LEARNED, *PEERS, *COUNTED)
        for protocol in PROTOCOLS
        for job in RESULTS.seeds(dataset, model, protocol)
    ]


def test_there_are_results_to_look_at() -> None:
    assert sum(len(kept(dataset)) for dataset in DATASETS) >= 223


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_kept_result_has_the_recipe_of_today(dataset: str) -> None:
    """Settings may move from section to section; hashes of what was trained may not."""
    config = work.read(dataset)
    for job in kept(dataset):
        done = RESULTS.read(job)
        assert done is not None
        settings = TRIALS.choose(job.dataset, job.model).settings
        assert done.facts["recipe"] == recipes.recipe(job, config, settings), job


@pytest.mark.parametrize(
    "changed", [{"interactions.min_rating": 4.0}, {"items.keep_unseen": True}, {"items": None}]
)
def test_files_that_are_read_otherwise_make_another_result(changed: dict[str, Any]) -> None:
    """Columns, ratings, what is kept: a result of other rows is none of these."""
    config = work.read("beauty")
    other = config.model_copy(update={"items": None})
    if changed != {"items": None}:
        other = models.configured(config, changed)
    for name in ("bbqrec", "popularity"):
        job = Job("beauty", name, 1, "strict")
        assert recipes.recipe(job, config, {}) != recipes.recipe(job, other, {})
        trial = jobs.Trial(job, USUAL)
        assert jobs.recipe(trial, config, {}) != jobs.recipe(trial, other, {})


@pytest.mark.parametrize("name", jobs.STORE.datasets())
def test_a_kept_result_on_new_items_has_the_recipe_of_today(name: str) -> None:
    """So have those of its weights with a fixed share, and without a memory."""
    share, kept = jobs.STORE.events(name).cold_share or USUAL, jobs.STORE.models(name)
    dataset = name.removesuffix(f"-{share:g}")
    config = work.read(dataset)
    assert kept
    for model, seeds in kept.items():
        name_of_job = cold.made_by(model)
        tuned = TRIALS.choose(dataset, cold.tuned_as(name_of_job)).settings
        for seed, done in seeds.items():
            trial = jobs.Trial(Job(name, name_of_job, seed, "strict"), share)
            assert done.facts["recipe"] == jobs.recipe(trial, config, tuned), (model, seed)
