"""Every result that is kept is of the configurations as they stand: none has become void."""

import pytest

from benchmarks.accuracy import recipes, work
from benchmarks.accuracy.models import COUNTED, LEARNED, PEERS
from benchmarks.accuracy.results import PROTOCOLS
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.trials import Trials
from training.config import load

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
    config = load(work.CONFIGS / f"{dataset}.toml")
    for job in kept(dataset):
        done = RESULTS.read(job)
        assert done is not None
        settings = TRIALS.choose(job.dataset, job.model).settings
        assert done.facts["recipe"] == recipes.recipe(job, config, settings), job
