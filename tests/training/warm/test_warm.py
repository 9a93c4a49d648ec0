"""A training goes on from the one before: codes stay, weights are carried, what is new begins."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from models.contract import bundle as bundles
from models.contract.store import BundleStore
from models.contract.types import BEHAVIOUR
from tests.simulated_shop import Shop
from tests.training.follow.test_follow import QUICK, journal, whole
from tests.training.shop_run import write_config
from training import stage_files
from training.config import RunConfig, load
from training.encoders.encode import load_embeddings, load_vocabulary, load_words
from training.errors import UserError
from training.fit.fit_sequence import new_model
from training.fit.learn import architecture
from training.follow.follow import Follower, Following
from training.follow.gate import Verdict
from training.warm import carry
from training.warm.kept import averaged, keep, kept

NEW = {"item_id": "brand-new", "title": "Zyzzyva lamp", "description": "a zyzzyva of brass"}


@pytest.fixture(scope="module")
def config(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A run on four fifths of the log, which is kept to go on from; then the rest comes, and a new
    item is in the catalogue.
    """
    folder = tmp_path_factory.mktemp("warm")
    path = write_config(shop, folder / "run")
    catalogue = Path(shutil.copytree(shop.items.parent, folder / "shop")) / shop.items.name
    text = path.read_text().replace(str(shop.interactions), str(folder / "log"))
    text = text.replace(str(shop.items), str(catalogue))
    for slow, quick in QUICK.items():
        text = text.replace(slow, quick)
    path.write_text(text)
    (folder / "log").mkdir()
    log = whole(shop)
    rest = log.slice(len(log) * 4 // 5)
    log.head(len(log) - len(rest)).write_csv(folder / "log/first.csv")
    config = load(path)
    went, said = follow(config)
    assert went, said
    rest.write_csv(folder / "log/second.csv")
    items = pl.read_csv(catalogue, infer_schema_length=0)
    twice = pl.DataFrame([NEW, NEW | {"item_id": "the-same"}])
    pl.concat([items, twice], how="diagonal").write_csv(catalogue)
    return config


def follow(config: RunConfig, passed: bool = True) -> tuple[bool, list[str]]:
    said: list[str] = []

    def judge(*_: Any) -> Verdict:
        return Verdict(passed, "a test said so")

    return Follower(config, Following(100, warm=1), said.append, judge).look(), said


@pytest.fixture(scope="module")
def warm(config: RunConfig) -> SimpleNamespace:
    """What was before, and what the second training left."""
    before = kept(config)
    went, said = follow(config)
    assert went, said
    return SimpleNamespace(before=before, said=said, after=kept(config))


def test_it_says_what_it_did_and_goes_live(config: RunConfig, warm: SimpleNamespace) -> None:
    (codes,) = [line for line in warm.said if line.startswith("requantize")]
    known = len(warm.before.item_ids)
    assert f"{known} items keep their codes, 2 are new" in codes
    assert not any(line.startswith(("quantize", "fit", "evaluate")) for line in warm.said)
    assert [line["warm"] for line in journal(config)] == [False, True]
    current = BundleStore(config.output).find("current")
    assert current is not None
    bundle = bundles.read(current)
    assert len(bundle.catalogue) == known + 2
    assert bundle.digest == journal(config)[-1]["bundle"]


def test_items_keep_their_codes_and_new_ones_have_those_of_their_content(
    config: RunConfig, warm: SimpleNamespace
) -> None:
    table, _ = stage_files.semantic_ids(config.output / "requantize")
    ids = stage_files.data(config).items["item_id"]
    at_N = carry.places(ids, warm.before.item_ids)
    old_N = at_N >= 0
    for name in ("codes_NS", "extra_N"):
        now, then = getattr(table, name), getattr(warm.before.table, name)
        np.testing.assert_array_equal(now[old_N], then[at_N[old_N]])
    new = [ids.to_list().index(name) for name in ("brand-new", "the-same")]
    one, other = table.codes_NML[new]
    behaviour = table.space.modalities.index(BEHAVIOUR)
    assert (one[behaviour] == table.space.null_code).all()
    assert (one[table.space.modalities.index("text")] < table.space.null_code).all()
    np.testing.assert_array_equal(one, other)  # they are described alike
    assert sorted(table.extra_N[new].tolist()) == [0, 1]


def test_weights_are_carried_by_item_and_by_word(config: RunConfig, warm: SimpleNamespace) -> None:
    """In other rows; what is new is as it was drawn."""
    encoded = config.output / "encode"
    table, codewords = stage_files.semantic_ids(config.output / "requantize")
    words, vocabulary = load_words(encoded), pl.Series(load_vocabulary(encoded))
    histories = stage_files.data(config).histories
    settings = architecture(config, table)
    torch.manual_seed(3)
    model = new_model(settings, table, codewords, words, histories)
    drawn = {name: weight.clone() for name, weight in model.state_dict().items()}
    at_N = carry.places(stage_files.data(config).items["item_id"], warm.before.item_ids)
    word_at_V = carry.places(vocabulary, warm.before.words)
    assert (word_at_V < 0).any()
    carry.carry_weights(model, warm.before, at_N, word_at_V)
    seen = 0
    for name, now in model.state_dict().items():
        then = warm.before.weights[name]
        at_R = None
        if name == "seen":
            np.testing.assert_array_equal(now, drawn[name])
            continue
        if name.endswith("vectors.embedding.weight"):
            at_R = word_at_V
        elif len(now) == len(at_N) + 1 and now.ndim == 2:
            at_R = np.append(at_N, len(then) - 1)
        if at_R is None:
            np.testing.assert_array_equal(now, then)
            continue
        seen += 1
        np.testing.assert_array_equal(now[at_R >= 0], then[at_R[at_R >= 0]])
        np.testing.assert_array_equal(now[at_R < 0], drawn[name][at_R < 0])
    assert seen >= 4


def test_it_learns_on(config: RunConfig, warm: SimpleNamespace) -> None:
    """From there, not from nothing, and a little."""
    now = averaged(config.output / "refit" / "last.ckpt")
    (name,) = [n for n in now if n.endswith("towers.2.decay")]
    then = warm.before.weights[name]
    assert not torch.equal(now[name], then)
    assert float((now[name] - then).abs().max()) < 0.5
    assert warm.after.weights.keys() == now.keys()


def test_so_many_in_a_row_and_then_one_from_nothing(
    config: RunConfig, warm: SimpleNamespace
) -> None:
    fit = config.fit.model_copy(update={"learn_test": False})
    held_out = config.model_copy(update={"fit": fit})

    def goes_on(most: int) -> bool:
        return Follower(config, Following(warm=most), print).goes_on(held_out)

    assert [goes_on(most) for most in (0, 1, 2)] == [False, False, True]
    assert not Follower(config, Following(warm=9), print).goes_on(config)  # nothing to judge it by


def test_another_model_or_other_modalities_are_said(
    config: RunConfig, warm: SimpleNamespace
) -> None:
    embeddings = load_embeddings(config.output / "encode")
    ids = stage_files.data(config).items["item_id"]
    at_N = carry.places(ids, warm.before.item_ids)
    with pytest.raises(UserError, match="other modalities"):
        carry.carry_codes(warm.before, {"text": embeddings["text"]}, at_N)
    table, codewords = stage_files.semantic_ids(config.output / "requantize")
    wider = architecture(config, table).model_copy(update={"width": 64})
    words = load_words(config.output / "encode")
    model = new_model(wider, table, codewords, words, stage_files.data(config).histories)
    with pytest.raises(UserError, match="the model is another than it was"):
        carry.carry_weights(model, warm.before, at_N, np.zeros(0, np.int64))


def test_what_is_kept_is_replaced_as_a_whole(config: RunConfig, warm: SimpleNamespace) -> None:
    keep(config)
    again = kept(config)
    assert again.item_ids.to_list() == warm.after.item_ids.to_list()
    assert not (config.output / ".warm").exists()
    with pytest.raises(UserError, match="nothing to go on from"):
        kept(config.model_copy(update={"output": config.output / "elsewhere"}))
