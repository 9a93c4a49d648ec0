"""The harness on the simulated shop: jobs train, test, are kept, and are not done twice."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from benchmarks.accuracy import jobs, plots, recipes, report, tables
from benchmarks.accuracy.jobs import Workshop, validation_curve
from benchmarks.accuracy.models import RANDOM_BUCKETS, SIMILARITY, Settings, configured
from benchmarks.accuracy.results import Measured, Recipe, Results, read
from benchmarks.accuracy.store import Job, Store
from tests.simulated_shop import Shop
from tests.training.shop_run import prepared
from training.config import RunConfig
from training.data.histories import Part

FEW_EPOCHS = {"fit.epochs": 2, "quantize.epochs": 2}


@pytest.fixture(scope="module")
def config(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return prepared(shop, tmp_path_factory.mktemp("accuracy"))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> Workshop:
    """Two seeds of a backbone and the whole method, and a kNN, strict and refit."""
    root = tmp_path_factory.mktemp("workshop")
    workshop = Workshop(Store(root / "kept"), root / "scratch")
    for model, seeds in {"bbqrec": 1, "esasrec": 2, "item-knn-decayed": 1, "popularity": 1}.items():
        for seed in range(1, seeds + 1):
            strict = Job("shop", model, seed, "strict")
            jobs.run(strict, config, FEW_EPOCHS, workshop)
            jobs.run(strict._replace(protocol="refit"), config, FEW_EPOCHS, workshop)
    return workshop


def recipe_of(config: RunConfig, settings: Settings) -> Recipe:
    return lambda job: recipes.recipe(job, config, settings)


def having(found: Results, **models: Measured) -> Results:
    return replace(found, models={**found.models, **models})


def test_a_job_that_was_done_is_not_done_again(workshop: Workshop, config: RunConfig) -> None:
    job = Job("shop", "bbqrec", 1, "strict")
    path = workshop.store.path(job)
    before = path.stat().st_mtime_ns
    facts = jobs.run(job, config, FEW_EPOCHS, workshop)
    assert path.stat().st_mtime_ns == before
    assert facts["epochs"] in (1, 2)
    assert 0 < facts["coverage@10"] <= 1


def test_a_changed_setting_is_another_job(workshop: Workshop, config: RunConfig) -> None:
    job = Job("shop", "popularity", 1, "strict")
    before = workshop.store.path(job).stat().st_mtime_ns
    jobs.run(job, configured(config, {"recommend": "all"}), {}, workshop)
    assert workshop.store.path(job).stat().st_mtime_ns != before
    jobs.run(job, config, FEW_EPOCHS, workshop)  # as the other tests expect it


def test_refit_takes_the_choices_of_strict(workshop: Workshop, config: RunConfig) -> None:
    chosen = (("bbqrec", "epochs"), ("bbqrec", "borrowing"), ("item-knn-decayed", "decay"))
    for model, choice in chosen:
        strict, refit = (workshop.store.read(Job("shop", model, 1, p)) for p in ("strict", "refit"))
        assert strict is not None
        assert refit is not None
        assert strict.facts[choice] == refit.facts[choice]
    with pytest.raises(ValueError, match="strict run first"):
        jobs.run(Job("shop", "bbqrec", 9, "refit"), config, FEW_EPOCHS, workshop)


def test_no_protocol_trains_on_the_test_part(config: RunConfig) -> None:
    assert jobs.known_to("strict", config).parts.max() == Part.TRAIN
    assert jobs.known_to("refit", config).parts.max() == Part.VALIDATION


def test_results_are_means_over_seeds_with_slices(workshop: Workshop, config: RunConfig) -> None:
    found = read("shop", config, "strict", workshop.store, recipe_of(config, FEW_EPOCHS))
    assert found is not None
    assert found.models["esasrec"].seeds == 2
    each = [workshop.store.read(Job("shop", "esasrec", seed, "strict")) for seed in (1, 2)]
    hits = [((done.rank_U > 0) & (done.rank_U <= 10)).mean() for done in each if done]
    mean = found.models["esasrec"].values["recall@10"].mean()
    assert mean == pytest.approx(np.mean(hits), abs=1e-6)
    rows = list(found.rows())
    assert {row["metric"] for row in rows} >= {"ndcg@10", "recall@5", "coverage@10"}
    assert any(row["metric"].startswith("ndcg@10[") for row in rows)
    assert all(row["ci_low"] <= row["mean"] <= row["ci_high"] for row in rows)
    table = tables.main_table(found)
    assert all(f"| {name} |" in table for name in ("esasrec", "popularity", "**bbqrec**"))


def test_an_ablation_is_compared_on_the_seeds_that_both_have(
    workshop: Workshop, config: RunConfig
) -> None:
    found = read("shop", config, "strict", workshop.store, recipe_of(config, FEW_EPOCHS))
    assert found is not None
    ours, theirs = (found.models[name].by_seed for name in ("bbqrec", "esasrec"))
    assert (sorted(ours), sorted(theirs)) == ([1], [1, 2])
    change = found.change("bbqrec", "esasrec")
    assert change is not None
    assert change.test.mean == pytest.approx(ours[1].mean() / theirs[1].mean() - 1)
    assert change.test.mean != pytest.approx(found.gain("bbqrec", "esasrec").mean)
    assert change.each_S == pytest.approx([change.test.mean])
    on_validation = [found.models[name].validation[1] for name in ("bbqrec", "esasrec")]
    assert change.validation == pytest.approx(on_validation[0] / on_validation[1] - 1)
    third = replace(found.models["bbqrec"], by_seed={3: ours[1]})
    assert having(found, bbqrec=third).change("bbqrec", "esasrec") is None


def test_an_ablation_is_shown_seed_by_seed_and_by_slice(
    workshop: Workshop, config: RunConfig
) -> None:
    found = read("shop", config, "strict", workshop.store, recipe_of(config, FEW_EPOCHS))
    assert found is not None
    assert (tables.ablation_table(found), tables.ablation_slices_table(found)) == ("", "")
    found = having(found, **{"bbqrec-without-club": found.models["esasrec"]})
    header, _, whole, ablation = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in tables.ablation_table(found).splitlines()
    )
    change = found.ablations["bbqrec-without-club"]
    shown = dict(zip(header, ablation, strict=True))
    assert shown["each seed"] == f"{change.each_S[0]:+.1%}"  # the one that both have
    assert shown["on validation"] == f"{change.validation:+.1%}"
    assert shown["shares borrowed"] == "0, 0"
    assert whole[0] == "**bbqrec**"
    head_U = found.slices["head item"]
    ours, theirs = (found.models[n].by_seed[1][head_U].mean() for n in ("esasrec", "bbqrec"))
    assert change.slices["head item"].mean == pytest.approx(ours / theirs - 1)
    assert "head item" in tables.ablation_slices_table(found)


def test_similarity_is_held_against_random_buckets(workshop: Workshop, config: RunConfig) -> None:
    """That of ours; where ours does not reweight, that of the ablation that does."""
    found = read("shop", config, "strict", workshop.store, recipe_of(config, FEW_EPOCHS))
    assert found is not None
    assert (found.controlled(), tables.control_table(found)) == ({}, "")
    random = found.models["esasrec"]
    found = having(found, **{RANDOM_BUCKETS: random})
    change = found.controlled()["bbqrec"]
    ours, theirs = (found.models[n].by_seed[1].mean() for n in ("bbqrec", RANDOM_BUCKETS))
    assert change.test.mean == pytest.approx(ours / theirs - 1)
    assert f"| bbqrec | {change.test.mean:+.1%} [" in tables.control_table(found)
    found = having(found, **{SIMILARITY: random})
    assert {name: each.test.mean for name, each in found.controlled().items()} == {SIMILARITY: 0}


def test_where_ours_has_no_codes_those_of_an_ablation_are_shown(
    workshop: Workshop, config: RunConfig
) -> None:
    found = read("shop", config, "strict", workshop.store, recipe_of(config, FEW_EPOCHS))
    assert found is not None
    assert found.with_codes() == "bbqrec"
    coded = found.models["bbqrec"]
    found = having(found, bbqrec=replace(coded, health={}))
    assert (found.with_codes(), tables.health_table(found)) == (None, "")
    found = having(found, **{"bbqrec-with-similarity": coded})
    assert found.with_codes() == "bbqrec-with-similarity"
    assert "| level 1 |" in tables.health_table(found)


def test_results_of_other_settings_are_no_results(workshop: Workshop, config: RunConfig) -> None:
    """Nor are they mixed with those of the settings that are chosen now."""
    others = {**FEW_EPOCHS, "fit.dropout": 0.45}
    found = read("shop", config, "strict", workshop.store, recipe_of(config, others))
    assert found is not None
    assert set(found.models) == {"item-knn-decayed", "popularity"}  # those have none


def test_plots_are_drawn_from_what_a_job_left(
    workshop: Workshop, config: RunConfig, tmp_path: Path
) -> None:
    job = Job("shop", "bbqrec", 1, "strict")
    drawn = report.draw_model(job, recipe_of(config, FEW_EPOCHS), workshop, tmp_path)
    assert {path.name for path in drawn} == {path.name for path in tmp_path.glob("*.png")}
    assert len(drawn) == 3
    assert all(path.stat().st_size > 5_000 for path in drawn)
    elsewhere = Workshop(workshop.store, tmp_path / "nothing")
    kept = report.draw_model(job, recipe_of(config, FEW_EPOCHS), elsewhere, tmp_path / "clone")
    assert [path.name for path in kept] == ["code-usage-shop.png"]


def test_legends_lie_over_nothing_and_can_be_read(
    workshop: Workshop, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand beneath all panels, of letters that are 9 pixels on a page 830 wide."""
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.update({path.stem: figure}))
    job = Job("shop", "bbqrec", 1, "strict")
    report.draw_model(job, recipe_of(config, FEW_EPOCHS), workshop, tmp_path)
    for name in "bucket-bias-shop", "code-usage-shop":
        figure = drawn[name]
        figure.canvas.draw()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        panels = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
        assert not any(box.overlaps(panel) for panel in panels if panel is not None)
        assert not any(axes.get_legend() for axes in figure.axes)
        text = legend.get_texts()[0]
        assert float(text.get_fontsize()) / 72 * 830 / figure.get_figwidth() >= 9
    pyplot.close("all")


def test_curves_are_drawn_from_the_results_alone(
    workshop: Workshop, config: RunConfig, tmp_path: Path
) -> None:
    """As in a fresh clone, where no training left anything else."""
    found = read("shop", config, "strict", workshop.store, recipe_of(config, FEW_EPOCHS))
    assert found is not None
    seeds = [workshop.store.read(Job("shop", "esasrec", seed, "strict")) for seed in (1, 2)]
    curves = found.models["esasrec"].curves
    assert [len(curve) for curve in curves] == [2, 2]  # epochs
    best = [done.facts["validation_ndcg@10"] for done in seeds if done]
    assert [max(curve) for curve in curves] == pytest.approx(best)
    path = tmp_path / "curves.png"
    plots.curves(found, path)
    assert path.stat().st_size > 5_000
    assert report.earlier_curves([found]) == ""
    path.unlink()
    found = having(found, bbqrec=replace(found.models["bbqrec"], curves=[]))
    plots.curves(found, path)
    assert not path.exists()
    assert "Curves of shop are" in report.earlier_curves([found])


def test_a_training_that_was_cut_short_has_one_curve(tmp_path: Path) -> None:
    for part, rows in enumerate(["0,1,.1\n1,2,.2\n", "1,2,.2\n2,3,.3\n", "2,3,.3\n2,4,\n"]):
        file = tmp_path / f"curves/version_{part}/metrics.csv"
        file.parent.mkdir(parents=True)
        file.write_text("epoch,step,validation/ndcg@10\n" + rows, encoding="utf-8")
    assert validation_curve(tmp_path) == [0.1, 0.2, 0.3]


def test_of_a_model_without_codes_nothing_is_drawn(
    workshop: Workshop, config: RunConfig, tmp_path: Path
) -> None:
    """And what an earlier one with codes left there is gone."""
    stale = tmp_path / "code-usage-shop.png"
    stale.touch()
    job = Job("shop", "esasrec", 1, "strict")
    drawn = report.draw_model(job, recipe_of(config, FEW_EPOCHS), workshop, tmp_path)
    assert drawn == []
    assert not stale.exists()


def test_nothing_is_drawn_from_another_training(
    workshop: Workshop, config: RunConfig, tmp_path: Path
) -> None:
    """Not from what a trial with other settings left, in a job's folder or among the results."""
    job = Job("shop", "bbqrec", 1, "strict")
    now, others = (recipe_of(config, s) for s in (FEW_EPOCHS, {**FEW_EPOCHS, "fit.dropout": 0.45}))
    assert jobs.left_by(job, now(job), workshop) == jobs.folder(workshop.scratch, job)
    assert jobs.left_by(job, others(job), workshop) is None
    assert report.draw_model(job, others, workshop, tmp_path) == []
    done = workshop.store.read(job)
    assert done is not None
    retried = Workshop(Store(tmp_path / "results"), workshop.scratch)
    retried.store.write(job, done.rank_U.astype(np.int64), done.facts | {"recipe": others(job)})
    assert jobs.left_by(job, others(job), retried) is None  # the folder is another's


def test_a_training_cut_short_beside_a_kept_result_has_left_nothing(
    workshop: Workshop, config: RunConfig, tmp_path: Path
) -> None:
    """Where results are kept and weights are not, one is trained anew, and may be killed."""
    job = Job("shop", "bbqrec", 1, "strict")
    copied = Workshop(workshop.store, tmp_path)
    shutil.copytree(jobs.folder(workshop.scratch, job), jobs.folder(copied.scratch, job))
    asked = recipe_of(config, FEW_EPOCHS)(job)
    assert jobs.left_by(job, asked, copied)
    (jobs.folder(copied.scratch, job) / "last.ckpt").touch()
    assert jobs.left_by(job, asked, copied) is None
