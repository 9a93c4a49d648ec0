"""Real data sets, where they lie beside the repository; skipped in a fresh clone."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.data.preparing import config
from training.data.dataset import PreparedDataset
from training.data.prepare import prepare

DATA = Path(__file__).resolve().parents[3] / "../shared/data"


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here: real data is never committed")
    return path.resolve()


def test_amazon_beauty_is_the_standard_5_core(tmp_path: Path) -> None:
    log, items = real("amazon_beauty/sequences.txt"), real("amazon_beauty/items.tsv")
    catalogue = {"path": items, "columns": {"text": ["text_keywords"]}}
    card = prepare(config(log, filter={"k_core": 5}, items=catalogue), tmp_path)
    assert (card.users, card.items, card.interactions) == (22_363, 12_101, 198_502)
    assert card.interactions_source.format == "sequences"
    assert card.split.evaluated_users == {"validation": 22_363, "test": 22_363}
    assert card.content.text == 12_100  # one item has no keywords
    assert card.content.undescribed == 0
    histories = PreparedDataset.load(tmp_path).histories
    lengths = [len(line.split()) - 1 for line in log.read_text().splitlines()]
    assert sorted(np.diff(histories.offsets).tolist()) == sorted(lengths)


def test_movielens_100k_in_its_own_layout(tmp_path: Path) -> None:
    log, items = real("ml100k/u.data"), real("ml100k/u.item")
    settings = config(
        log,
        filter={"max_reject_share": 0},
        items={"path": items, "image_template": "posters/{item_id}.jpg"},
    )
    card = prepare(settings, tmp_path)
    assert (card.users, card.items, card.interactions) == (943, 1_682, 100_000)
    assert card.content.text == 1_682
    assert card.content.image > 1_600
    toy_story = PreparedDataset.load(tmp_path).items.filter(item_id="1").row(0, named=True)
    assert toy_story["text"] == "Toy Story (1995)\nAnimation, Children's, Comedy"
