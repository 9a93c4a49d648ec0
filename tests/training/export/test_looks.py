"""What a bundle holds for people to look at: the map, and somebody's history."""

from pathlib import Path

import numpy as np
import pytest

from models.contract.catalogue_map import CatalogueMap
from training.data.histories import Histories, Part, targets
from training.export import catalogue_map
from training.export.catalogue_map import draw_map
from training.export.samples import LATEST, draw_samples


def test_what_is_alike_lies_together_and_the_most_used_come_first(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    groups_N = np.repeat([0, 1], 20)
    centres_2D = 5 * random.normal(size=(2, 8))
    vectors_ND = (centres_2D[groups_N] + random.normal(size=(40, 8))).astype(np.float32)
    draw_map(vectors_ND, np.arange(40)).write(tmp_path / "map")
    rows_J, places_J2, held = CatalogueMap.read(tmp_path / "map")
    assert 0.5 < held < 1
    assert rows_J.tolist() == list(range(39, -1, -1))
    across_J, of_J = places_J2[:, 0], groups_N[rows_J]
    assert (places_J2.min(axis=0).tolist(), places_J2.max(axis=0).tolist()) == ([0, 0], [65535] * 2)
    one, other = across_J[of_J == 0], across_J[of_J == 1]
    assert one.max() < other.min() or other.max() < one.min()


def test_no_more_are_drawn_than_anybody_can_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_map, "MOST_POINTS", 4)
    rows_J, places_J2, _ = draw_map(np.eye(6, dtype=np.float32), np.array([0, 5, 1, 9, 2, 2]))
    assert rows_J.tolist() == [3, 1, 4, 5]
    assert places_J2.shape == (4, 2)


def test_items_that_are_all_the_same_lie_on_one_spot() -> None:
    _, places_J2, _ = draw_map(np.zeros((3, 4), np.float32), np.zeros(3, np.int64))
    assert np.unique(places_J2, axis=0).shape == (1, 2)


def test_samples_are_the_latest_steps_and_the_held_out_one_by_item_ids() -> None:
    long, short = list(range(14)), [20, 21, 22]
    items = np.array([*long, *short], np.int32)
    parts = np.array([*[Part.TRAIN] * 13, Part.TEST, Part.TRAIN, Part.TRAIN, Part.TEST], np.uint8)
    held_out = targets(Histories(np.array([0, 14, 17]), items, parts), Part.TEST)
    ids = [f"id-{n}" for n in range(23)]
    first, second = draw_samples(held_out, ids, 5, seed=1).users
    assert first.history == tuple(ids[13 - LATEST : 13])
    assert (first.took, second.history, second.took) == ("id-13", ("id-20", "id-21"), "id-22")
    assert len(draw_samples(held_out, ids, 1, seed=1).users) == 1
