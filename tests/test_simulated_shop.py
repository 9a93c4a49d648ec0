"""The simulated shop keeps its promises, or tests built on it would show nothing."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from tests.simulated_shop import Shop, simulate


def test_the_same_seed_makes_the_same_shop(tmp_path: Path, shop: Shop) -> None:
    again = simulate(tmp_path / "again")
    assert again.interactions.read_bytes() == shop.interactions.read_bytes()
    assert again.items.read_bytes() == shop.items.read_bytes()
    other = simulate(tmp_path / "other", seed=8)
    assert other.interactions.read_bytes() != shop.interactions.read_bytes()


def test_the_next_group_follows(shop: Shop) -> None:
    steps = [
        shop.following[shop.group_of_item[one]] == shop.group_of_item[other]
        for history in shop.histories
        for one, other in pairwise(history)
    ]
    assert 0.7 < np.mean(steps) < 0.85  # by the rule, or by taste


def test_some_content_is_missing_and_some_items_never_sell(shop: Shop) -> None:
    assert shop.never_bought
    assert shop.without_text
    pictures = {path.stem for path in (shop.folder / "pictures").iterdir()}
    assert pictures == set(shop.item_ids) - shop.without_picture
    with Image.open(shop.folder / "pictures" / f"{min(pictures)}.png") as picture:
        assert picture.size == (64, 64)


def test_pictures_of_a_group_look_alike(shop: Shop) -> None:
    """The mean colour alone names the group of most items."""
    shown = [at for at, item in enumerate(shop.item_ids) if item not in shop.without_picture]
    colours = []
    for at in shown:
        with Image.open(shop.folder / "pictures" / f"{shop.item_ids[at]}.png") as picture:
            middle = np.asarray(picture)[24:40, 24:40]
        colours.append(middle.reshape(-1, 3).mean(0))
    groups = shop.group_of_item[shown]
    means = np.array([np.array(colours)[groups == group].mean(0) for group in np.unique(groups)])
    distance = ((np.array(colours)[:, None] - means) ** 2).sum(-1)
    assert (distance.argmin(1) == groups).mean() > 0.9
