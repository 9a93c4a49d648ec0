"""The whole road on the simulated shop: `bbqrec-train run`, then answers from the bundle."""

import csv
import io
import json
import shutil
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from models.contract import bundle
from models.contract.bundle import Bundle
from models.contract.intake import Content, IntakeError
from service.catalogue.bundle_intake import BundleIntake
from service.http.app import create_app
from service.settings import Settings
from tests.simulated_shop import Shop, draw_picture
from tests.training.run.conftest import Run
from tests.training.shop_run import train
from training import stage_files
from training.config import load
from training.data.histories import Part
from training.encoders.encode import load_embeddings, load_words
from training.errors import UserError
from training.evaluate.new_items import ranked
from training.export.intake import write_intake
from training.fit.learn import load_model
from training.memory.likeness import likeness
from training.memory.memory import Recipe, Sources
from training.report.collect import collect
from training.run.evaluate import ours
from training.run.export import _intake, write_report
from training.run.report import anew


def picture_of(shop: Shop, item_id: str) -> bytes | None:
    """The bytes of an item's picture file."""
    if item_id in shop.without_picture:
        return None
    return (shop.folder / f"pictures/{item_id}.png").read_bytes()


def said_of(shop: Shop) -> dict[str, dict[str, str]]:
    """Rows of the item file."""
    with shop.items.open(encoding="utf-8") as file:
        return {row["item_id"]: row for row in csv.DictReader(file)}


def draw(kind: str) -> bytes:
    """A picture file's bytes."""
    file = io.BytesIO()
    draw_picture(0, np.random.default_rng(0)).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def config(trained: Run) -> Path:
    return trained.config


@pytest.fixture(scope="module")
def made(config: Path) -> Bundle:
    return bundle.read(config.parent / "out/current")


def evaluation(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((config.parent / "out/evaluate/evaluation.json").read_text())
    return found


def test_a_run_prints_its_stages_and_the_table(trained: Run) -> None:
    for stage in ("prepare", "encode", "quantize", "fit", "evaluate", "refit", "export"):
        assert f"{stage} " in trained.stderr
    for row in ("popularity", "item-knn-decayed", "memory", "bbqrec"):
        assert row in trained.stdout
    assert "Traceback" not in trained.stderr
    assert "Warning" not in trained.stderr


def test_learning_beats_the_baselines_where_there_is_something_to_learn(
    config: Path,
) -> None:
    models = evaluation(config)["models"]
    assert models["bbqrec"]["ndcg@10"] > 1.1 * models["popularity"]["ndcg@10"]
    assert models["bbqrec"]["ndcg@10"] > models["item-knn"]["ndcg@10"]


def test_what_was_counted_of_everything_is_served_with_the_weight_that_fit_chose(
    made: Bundle, config: Path
) -> None:
    out, read = config.parent / "out", load(config)
    chosen = json.loads((out / "fit/fitted.json").read_text())
    recipe = Recipe(**chosen["memory"])
    assert recipe.weight > 0
    assert made.memory is not None
    most, words = read.fit.memory_items, load_words(out / "encode")
    counted = Sources.of(stage_files.data(read).histories, words, most).mix(recipe)
    np.testing.assert_array_equal(made.memory.items_J, counted.items_J)
    new_N = np.ones(len(counted), np.bool_)
    new_N[stage_files.data(read).histories.items] = False
    scaled = counted.scaled(new_N, chosen["calibration"]["scale"])
    np.testing.assert_allclose(made.memory.scores_J, scaled.scores_J, rtol=1e-6)


def test_every_item_has_a_unique_id_and_missing_content_is_null(made: Bundle, shop: Shop) -> None:
    table, space = made.semantic_ids, made.manifest.architecture.code_space
    assert len(np.unique(table.semantic_ids(), axis=0)) == len(made.catalogue) == len(shop.item_ids)
    picture = space.modalities.index("image")
    for row, item in enumerate(made.catalogue):
        assert table.present_NM[row, picture] == (item.item_id not in shop.without_picture)
        assert table.present_NM[row, 0] == (item.item_id not in shop.without_text)


def test_recommendations_follow_the_truth_of_the_shop(made: Bundle, shop: Shop) -> None:
    """After an item of one group, the group that tends to follow comes first."""
    row_of = {item_id: row for row, item_id in enumerate(shop.item_ids)}
    right = []
    with TestClient(create_app(Settings(bundle=made.directory, provider="cpu", drain=0))) as client:
        for row, item_id in enumerate(shop.item_ids):
            if item_id in shop.never_bought:
                continue
            answer = client.post("/recommend", json={"history": [item_id], "k": 5}).json()
            groups = [shop.group_of_item[row_of[item["item_id"]]] for item in answer["items"]]
            right.append(np.mean(np.array(groups) == shop.following[shop.group_of_item[row]]))
    assert np.mean(right) > 0.5  # chance: one group in six


def test_an_item_nobody_bought_is_scored_by_its_content(made: Bundle, shop: Shop) -> None:
    cold = sorted(shop.never_bought - shop.without_text)[0]
    with TestClient(create_app(Settings(bundle=made.directory, provider="cpu", drain=0))) as client:
        answer = client.post("/recommend", json={"history": [cold], "k": 5}).json()
    assert answer["unknown_items"] == []
    assert answer["fallback"] is None


def test_a_new_item_gets_the_row_that_training_would_have_given_it(
    made: Bundle, shop: Shop, config: Path
) -> None:
    """Codes of all items, but for those that were moved; vectors of those that nobody bought."""
    said = said_of(shop)
    contents = [
        Content(
            title=said[item.item_id]["title"],
            text={"description": said[item.item_id]["description"]},
            picture=picture_of(shop, item.item_id),
        )
        for item in made.catalogue
    ]
    taken = BundleIntake(made).take(contents)
    slots = slice(None, -made.manifest.architecture.code_space.levels)  # all but behaviour's
    kept = [
        row
        for row, found in enumerate(taken)
        if (found.codes_S[slots] == made.semantic_ids.codes_NS[row][slots]).all()
    ]
    assert len(kept) > 0.9 * len(taken)
    cold = [row for row in kept if made.catalogue[row].item_id in shop.never_bought]
    assert len(cold) > 1
    for row in cold:
        assert np.abs(taken[row].scored_D - made.vectors.scored_ND[row]).max() < 1e-4
        assert np.abs(taken[row].read_W - made.vectors.read_NW[row]).max() < 1e-4
        assert np.abs(taken[row].scored_D).max() > 1e-3


def test_an_item_that_nothing_else_tells_of_borrows_whole(made: Bundle) -> None:
    """As in a model whose towers see no words and no codes: else all would have the same score."""
    intake = BundleIntake(made)
    nothing = np.zeros_like(made.vectors.code_SKD)
    intake.bundle = replace(made, vectors=replace(made.vectors, code_SKD=nothing))
    words = {name: intake.arrays[name] for name in ("words_scored", "words_read")}
    intake.arrays |= {name: np.zeros_like(array) for name, array in words.items()}
    intake.card = intake.card.model_copy(update={"borrowing": 0.0, "neighbours": 3})
    text = next(item.title for item in made.catalogue if item.title)
    borrowed, bare = intake.take([Content(title=text), Content(attributes={})])
    own_D = (borrowed.scored_D - intake.arrays["offset"]) / intake.arrays["scale"]
    assert np.abs(own_D).max() > 1e-3
    assert not bare.scored_D.any()  # not even brought to scale
    intake.card = intake.card.model_copy(update={"neighbours": 0})
    assert not intake.take([Content(title=text)])[0].scored_D.any()


def test_whom_a_new_item_is_described_like_is_told_as_the_memory_tells(
    made: Bundle, shop: Shop, config: Path, tmp_path: Path
) -> None:
    """Of a memory that knows likeness, as the shop's does not: by words that the intake reads."""
    read, out = load(config), config.parent / "out"
    fit, copy = tmp_path / "refit", tmp_path / "bundle"
    shutil.copytree(out / "refit", fit)
    shutil.copytree(made.directory, copy)
    fitted = json.loads((fit / stage_files.FITTED).read_text())
    fitted["memory"] |= {"likeness": 1.5, "weight": 2.0}
    (fit / stage_files.FITTED).write_text(json.dumps(fitted))
    model = load_model(read, fit / stage_files.WEIGHTS, made.semantic_ids)
    write_intake(copy, _intake(read, stage_files.data(read), model, out / "requantize", fit))
    said = said_of(shop)
    contents = [
        Content(said[each.item_id]["title"], {"description": said[each.item_id]["description"]})
        for each in made.catalogue
    ]
    trained_NN = likeness(load_words(out / "encode"), len(contents)).toarray()
    found = [item.alike for item in BundleIntake(replace(made, directory=copy)).take(contents)]
    assert max(len(alike.rows_J) for alike in found) > 1
    for row, alike in enumerate(found):
        others = alike.rows_J != row
        cosines_J = trained_NN[row, alike.rows_J[others]]
        np.testing.assert_allclose(alike.after_J[others], 3 * cosines_J, rtol=1e-4)
        scale = fitted["calibration"]["scale"]
        np.testing.assert_allclose(alike.before_J, scale * alike.after_J, rtol=1e-6)


def test_an_item_that_is_put_is_recommended_like_the_one_whose_content_it_has(
    made: Bundle, shop: Shop, config: Path, tmp_path: Path
) -> None:
    """Nobody bought either: one was there in training, the other comes while it serves."""
    table, pictures = made.semantic_ids, load_embeddings(config.parent / "out/encode")["image"]
    said = said_of(shop)
    cold = sorted(shop.never_bought - shop.without_text)
    settings = Settings(
        bundle=made.directory, provider="cpu", drain=0, live=tmp_path, items_key="secret"
    )
    with TestClient(create_app(settings), headers={"authorization": "Bearer secret"}) as client:
        ask = {"history": [shop.item_ids[0], shop.item_ids[1]], "k": len(shop.item_ids)}
        alike = 0
        for item_id in cold:
            row = next(row for row, item in enumerate(made.catalogue) if item.item_id == item_id)
            told = said[item_id]
            body: dict[str, Any] = {"title": told["title"]}
            body["text"] = {"description": told["description"]}
            if pictures.present_N[row]:
                body["vectors"] = {"image": pictures.vectors_ND[row].tolist()}
            written = client.put(f"/items/new-{item_id}", json=body).json()
            answer = client.post("/recommend", json=ask).json()["items"]
            score = {item["item_id"]: item["score"] for item in answer}
            if written["semantic_id"][:-1] == table.codes_NS[row].tolist():
                alike += 1
                assert score[f"new-{item_id}"] == pytest.approx(score[item_id], abs=1e-3)
    assert alike > 1


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (Content(vectors={"scent": np.ones(3, np.float32)}), "vectors.scent"),
        (Content(vectors={"image": np.ones(3, np.float32)}), "vectors.image"),
        (Content(vectors={"text": np.full(256, np.nan, np.float32)}), "vectors.text"),
        (Content(text={"colour": "red"}), "text.colour"),
        (Content(picture=b"..."), "picture: not a picture in a known format"),
        (Content(picture=draw("PNG")[:200]), "picture: damaged"),
    ],
)
def test_what_cannot_be_taken_in_is_named(made: Bundle, content: Content, field: str) -> None:
    with pytest.raises(IntakeError, match=field) as raised:
        BundleIntake(made).take([Content(title="a fine one"), content])
    assert raised.value.field == field.partition(":")[0]


def test_a_picture_and_the_vector_that_training_made_of_it_are_the_same(
    made: Bundle, shop: Shop, config: Path
) -> None:
    pictures, intake = load_embeddings(config.parent / "out/encode")["image"], BundleIntake(made)
    for row in np.flatnonzero(pictures.present_N)[:5].tolist():
        item_id = made.catalogue[row].item_id
        sent, ready = intake.take(
            [
                Content(picture=picture_of(shop, item_id)),
                Content(vectors={"image": pictures.vectors_ND[row]}),
            ]
        )
        assert (sent.codes_S == ready.codes_S).all()
        np.testing.assert_allclose(sent.scored_D, ready.scored_D, atol=1e-4)


def test_without_pillow_a_picture_is_refused_with_what_to_do(
    made: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "models.contract.pictures", None)
    with pytest.raises(IntakeError, match=r"install bbqrec\[pictures\], or send its vector"):
        BundleIntake(made).take([Content(picture=draw("PNG"))])


def test_new_items_are_brought_to_scale_and_refit_takes_it_over(config: Path, made: Bundle) -> None:
    """The shop's validation takes enough new items to tell; what comes later is calibrated too."""
    chosen, live = (
        json.loads((config.parent / "out" / stage / "fitted.json").read_text())
        for stage in ("fit", "refit")
    )
    assert live["calibration"] == chosen["calibration"] != {"scale": 1.0, "offset": 0.0}
    assert 0 < chosen["exposure"]["shown"] <= chosen["exposure"]["taken"]
    arrays = BundleIntake(made).arrays
    assert arrays["offset"].any()
    assert (arrays["scale"] == np.float32(chosen["calibration"]["scale"])).all()
    of_new = evaluation(config)["new_items"]
    assert of_new["models"]["bbqrec"]["new recall@50"] > 0
    assert made.manifest.metrics["new taken"] == of_new["taken"]


def test_what_nobody_ever_bought_counts_among_the_new_items_that_are_shown(config: Path) -> None:
    """It is brought to scale with those of validation, so the scale is chosen by both."""
    read = load(config)
    new = stage_files.new_items(read)
    mixed = new.mixed(Part.VALIDATION, filter_seen=read.filter_seen)
    best_EK = ranked(ours(read), mixed, read.filter_seen, top=10).top_EK
    shown = (mixed.new_N | new.unused_N())[best_EK].mean()
    assert shown > mixed.new_N[best_EK].mean()
    chosen = json.loads((read.output / "fit/fitted.json").read_text())
    assert shown == pytest.approx(chosen["exposure"]["shown"], abs=1e-6)


def test_a_bundle_says_when_its_item_file_was_written(made: Bundle, shop: Shop) -> None:
    assert made.manifest.items_as_of
    written = datetime.fromisoformat(made.manifest.items_as_of).timestamp()
    assert written == int(shop.items.stat().st_mtime)


def test_what_goes_live_borrows_the_share_that_validation_chose(config: Path, made: Bundle) -> None:
    chosen, live = (
        json.loads((config.parent / "out" / stage / "fitted.json").read_text())
        for stage in ("fit", "refit")
    )
    assert live["borrowing"] == chosen["borrowing"]
    assert live["epochs"] == chosen["epochs"]


def test_a_bundle_has_a_report_of_its_run_and_the_terminal_names_it(
    trained: Run, made: Bundle, config: Path
) -> None:
    page = made.directory / bundle.FILES.REPORT
    assert made.manifest.has(bundle.FILES.REPORT)
    assert page.stat().st_size < 1_000_000
    assert str(config.parent / "out/current/report.html") in trained.stderr


def test_a_report_made_anew_is_the_same_to_the_byte(made: Bundle, config: Path) -> None:
    done = train("report", config)
    assert done.returncode == 0, done.stderr
    anew = config.parent / "out/report.html"
    assert str(anew) in done.stderr
    assert anew.read_bytes() == (made.directory / bundle.FILES.REPORT).read_bytes()


def test_the_report_tells_what_the_stages_left(made: Bundle, config: Path) -> None:
    out, read = config.parent / "out", load(config)
    facts = collect(read, made.directory, made.manifest.created_at)
    left = evaluation(config)
    assert facts.evaluation.models == left["models"]
    assert facts.evaluation.new_items is not None
    assert facts.evaluation.new_items.models == left["new_items"]["models"]
    assert facts.card == stage_files.data(read).card
    assert facts.health == made.manifest.health
    chosen = json.loads((out / "fit/fitted.json").read_text())
    assert facts.fitted.epochs == chosen["epochs"]
    assert facts.fitted.memory._asdict() == chosen["memory"]
    loss, validated = facts.curves["fit"]
    assert max(score for _, score in validated.points) == pytest.approx(
        dict(validated.points)[chosen["epochs"]]
    )
    assert len(loss.points) == len(validated.points)
    took = json.loads((out / "refit/stage.json").read_text())
    assert facts.costs["refit"].seconds == took["seconds"]
    assert facts.costs["refit"].peak_bytes == took["peak_bytes"]
    assert next(s.value for s in facts.settings if s.name == "quantize.epochs") == "20"


def test_the_report_shows_items_as_the_bundle_has_them(made: Bundle, config: Path) -> None:
    facts = collect(load(config), made.directory, made.manifest.created_at)
    titles = [item.title or item.item_id for item in made.catalogue]
    drawn = sum(len(group.points) for group in facts.map.groups) + len(facts.map.others)
    assert drawn == len(titles)
    first_N = made.semantic_ids.codes_NS[:, 0]
    for group in facts.map.groups:
        assert group.items == (first_N == group.code).sum()
        assert all(first_N[titles.index(title)] == group.code for title in group.titles)
    for story, example in zip(facts.stories, facts.evaluation.examples, strict=True):
        assert story.came == titles[example.target]
        assert [item.title for item in story.best] == [titles[row] for row in example.best]
        assert any(item.hit for item in story.best) == (example.rank <= 10)
    for pair in facts.pairs:
        assert list(pair.cosines) == sorted(pair.cosines)
        assert np.log(pair.factors).mean() == pytest.approx(0, abs=1e-6)


def test_a_run_whose_report_cannot_be_made_goes_live_without_one(
    config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.toml"
    path.write_text(config.read_text().replace(str(config.parent / "out"), str(tmp_path / "out")))
    write_report(load(path), tmp_path, "2026-01-01T00:00:00+00:00")
    assert not (tmp_path / bundle.FILES.REPORT).exists()
    with pytest.raises(UserError, match="`bbqrec-train run` makes one"):
        anew(load(path))


def test_a_second_run_skips_everything(config: Path, made: Bundle) -> None:
    done = train("run", config)
    assert done.stderr.count("unchanged, skipped") == 8
    assert bundle.read(config.parent / "out/current").digest == made.digest


def test_a_stage_alone_needs_those_before_it(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(config.read_text().replace(str(config.parent / "out"), str(tmp_path / "out")))
    done = train("quantize", path)
    assert done.returncode == 1
    assert "needs stage `prepare`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_column_is_one_clear_message(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    text = config.read_text().replace('title = "title"', 'title = "nombre"')
    path.write_text(text.replace(str(config.parent / "out"), str(tmp_path / "out")))
    done = train("prepare", path)
    assert done.returncode == 1
    assert "nombre" in done.stderr
    assert "items.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_verb() -> None:
    text = train("--help").stdout
    for verb in ("prepare", "encode", "quantize", "fit", "evaluate", "refit", "export", "report"):
        assert f" {verb} " in text
