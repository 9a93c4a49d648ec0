"""Who is described like an item that comes later: told as training's memory would have told it."""

import numpy as np
import pytest

from models.contract.likeness import NEAREST, NOBODY, WordLikeness
from models.nets.words import ItemWords
from training.memory.likeness import for_new_items, likeness

ITEMS, WORDS = 300, 80


@pytest.fixture(scope="module")
def words() -> ItemWords:
    random = np.random.default_rng(0)
    said = [
        np.sort(random.choice(WORDS, random.integers(0, 9), replace=False)) for _ in range(ITEMS)
    ]
    offsets = np.cumsum([0, *map(len, said)])
    return ItemWords(offsets, np.concatenate(said).astype(np.int32), WORDS)


def said_by(words: ItemWords, row: int) -> list[int]:
    return [int(word) for word in words.words_J[words.offsets[row] : words.offsets[row + 1]]]


def test_cosines_are_those_of_training(words: ItemWords) -> None:
    told, trained_NN = for_new_items(words, worth=2.0, scale=0.5), likeness(words, ITEMS).toarray()
    for row in range(ITEMS):
        found = told.nearest(said_by(words, row))
        others = found.rows_J != row
        expected_J = trained_NN[row, found.rows_J[others]]
        np.testing.assert_allclose(found.after_J[others], 2 * expected_J, rtol=1e-5)
        np.testing.assert_allclose(found.before_J, 0.5 * found.after_J)
        left = np.delete(trained_NN[row], found.rows_J)
        assert len(found.rows_J) == NEAREST or left.max() == 0
        assert left.max() <= found.after_J.min(initial=2) / 2 + 1e-6  # the most alike are told


def test_words_may_be_put_in_another_order(words: ItemWords) -> None:
    told = for_new_items(words, worth=1.0, scale=1.0)
    place_V = np.random.default_rng(1).permutation(WORDS)
    moved = for_new_items(words.renumbered(place_V), worth=1.0, scale=1.0)
    for row in range(20):
        said = said_by(words, row)
        here, there = told.nearest(said), moved.nearest(place_V[said].tolist())
        assert dict(zip(here.rows_J.tolist(), here.after_J.tolist(), strict=True)) == pytest.approx(
            dict(zip(there.rows_J.tolist(), there.after_J.tolist(), strict=True))
        )


def test_it_is_stored_and_read_back(words: ItemWords) -> None:
    told = for_new_items(words, worth=3.0, scale=0.25)
    found = WordLikeness.from_arrays(told.arrays())
    assert found is not None
    assert (found.worth, found.scale) == (3.0, 0.25)
    np.testing.assert_array_equal(found.nearest([1, 2]).rows_J, told.nearest([1, 2]).rows_J)
    assert WordLikeness.from_arrays({}) is None


def test_an_item_without_words_is_like_nobody(words: ItemWords) -> None:
    assert for_new_items(words, 1.0, 1.0).nearest([]) is NOBODY


def test_a_word_that_nobody_has_finds_nobody() -> None:
    words = ItemWords(np.array([0, 1]), np.array([0], np.int32), 2)
    assert len(for_new_items(words, 1.0, 1.0).nearest([1]).rows_J) == 0
