from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.models import LEARNED, Settings, changes_nothing, configured, named
from benchmarks.accuracy.results import slices
from benchmarks.accuracy.statistics import Bootstrap, Interval, accuracy, verdict
from benchmarks.accuracy.store import TOP, Job, Store
from benchmarks.accuracy.trials import Trials
from training.config import InteractionsConfig, RunConfig
from training.evaluate.ranking import Ranking, metrics

CONFIG = RunConfig.model_validate(
    {"name": "x", "output": "x", "interactions": InteractionsConfig.model_validate({"path": "x"})}
)


def test_kept_ranks_give_the_metrics_that_evaluation_gives(tmp_path: Path) -> None:
    rank_U = np.random.default_rng(0).integers(1, 40, 500)
    store, job = Store(tmp_path), Job("d", "m", 3, "strict")
    assert store.read(job) is None
    store.write(job, rank_U, {"recipe": "r", "minutes": 1.5})
    kept = store.read(job)
    assert kept is not None
    assert kept.facts == {"recipe": "r", "minutes": 1.5}
    assert kept.rank_U.max() == TOP
    wanted = metrics(Ranking(rank_U, np.zeros((500, 0), np.int64)), 100, (5, 10, 20))
    assert {m: float(v.mean()) for m, v in accuracy(kept.rank_U).items()} == pytest.approx(wanted)
    assert store.datasets() == ["d"]
    assert len(store.seeds("d", "m", "strict")) == 1


def test_a_paired_difference_is_seen_where_two_intervals_overlap() -> None:
    """Users differ far more than models do: only pairing sees a small, constant gain."""
    theirs_U = np.random.default_rng(0).exponential(size=2000).astype(np.float32)
    ours_U = theirs_U * np.float32(1.02)
    bootstrap = Bootstrap(2000)
    ours, theirs = bootstrap.mean(ours_U), bootstrap.mean(theirs_U)
    assert ours.low < theirs.high
    gain = bootstrap.gain(ours_U, theirs_U)
    assert gain.mean == pytest.approx(0.02, abs=1e-4)
    assert verdict(gain) == "better"
    assert verdict(bootstrap.gain(theirs_U, ours_U)) == "worse"


def test_noise_is_no_difference() -> None:
    random = np.random.default_rng(1)
    one_U, other_U = (random.exponential(size=500).astype(np.float32) for _ in range(2))
    assert verdict(Bootstrap(500).gain(one_U, other_U)) == "same"
    assert verdict(Interval(0.0, -0.1, 0.1)) == "same"


def test_there_is_no_gain_over_a_model_that_may_never_hit() -> None:
    """One hit among 50 users is in about two thirds of the resamples."""
    ours_U, theirs_U = np.ones(50, np.float32), np.zeros(50, np.float32)
    theirs_U[7] = 1
    gain = Bootstrap(50).gain(ours_U, theirs_U)
    assert np.isnan(gain).all()
    assert verdict(gain) == "same"


def test_slices_part_the_users() -> None:
    count_U, length_U = np.array([0, 3, 10, 11, 500]), np.array([1, 5, 6, 15, 16])
    found = slices(count_U, length_U)
    for kind in ("item", "history"):
        parts = [chosen for name, chosen in found.items() if name.endswith(kind)]
        assert (np.sum(parts, axis=0) == 1).all()
    assert found["cold item"].tolist() == [True, False, False, False, False]


def test_every_model_is_a_valid_configuration() -> None:
    for settings in LEARNED.values():
        configured(CONFIG, settings)
    with pytest.raises(ValueError, match=r"no setting fit\.widht"):
        configured(CONFIG, {"fit.widht": 3})


def test_an_ablation_of_what_ours_has_not_changes_nothing() -> None:
    masked = {"fit.mask_seen": True}
    assert changes_nothing("bbqrec-without-mask", CONFIG, {})
    assert changes_nothing("bbqrec-with-mask", CONFIG, masked)
    assert not changes_nothing("bbqrec-without-mask", CONFIG, masked)
    assert not changes_nothing("bbqrec", CONFIG, {})


def test_every_form_of_similarity_reweights_where_ours_does_not() -> None:
    """Else the control of random buckets would be ours once more."""
    plain = {"fit.reweighting": False}
    for form in ("similarity", "random-buckets", "affine-edges", "multiplicative"):
        assert configured(CONFIG, plain, LEARNED[f"bbqrec-with-{form}"]).fit.reweighting


def test_models_are_named_or_refused() -> None:
    assert named("ours, backbones") == ("bbqrec", "sasrec-ss", "esasrec")
    with pytest.raises(ValueError, match="no model is named sasrek"):
        named("sasrek")


def test_settings_come_from_validation_and_an_ablation_has_those_of_the_whole(
    tmp_path: Path,
) -> None:
    trials = Trials(tmp_path / "trials.jsonl")
    assert trials.choose("toys", "bbqrec").searched_on is None
    for dropout, value in ((0.3, 0.05), (0.5, 0.06)):
        settings = {"fit.dropout": dropout}
        fields = {"dataset": "beauty", "model": "bbqrec", "settings": settings}
        trials.add(fields | {"validation_ndcg@10": value})
    assert trials.choose("beauty", "bbqrec-without-words").settings == {"fit.dropout": 0.5}
    assert trials.choose("toys", "bbqrec").searched_on == "beauty"
    assert trials.choose("beauty", "rectools-esasrec").settings == {}


def test_the_search_takes_one_step_from_the_best_and_none_twice(tmp_path: Path) -> None:
    trials = Trials(tmp_path / "trials.jsonl")
    configure = partial(configured, CONFIG)

    def add(settings: Settings, value: float) -> None:
        fields = {"dataset": "d", "model": "m", "settings": settings}
        trials.add(fields | {"validation_ndcg@10": value})

    assert trials.next("d", "m", configure) == {}  # the configuration as it stands comes first
    add({}, 0.05)
    first = trials.next("d", "m", configure)
    assert first == {"fit.blocks": 3}
    add(first, 0.04)  # worse: the next step starts where this one did
    second = trials.next("d", "m", configure)
    assert second == {"fit.blocks": 1}
    add(second, 0.06)  # better: steps start here, and 2, the default, was tried already
    assert trials.next("d", "m", configure) == {"fit.blocks": 1, "fit.learning_rate": 2e-3}
    assert trials.count("d", "m") == 3
