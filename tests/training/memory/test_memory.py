"""Counts with a known truth, and that nothing is counted which may not be seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from models.contract.memory import Reason
from models.contract.ragged import before_each
from models.nets.words import ItemWords
from training import stage_files
from training.data.histories import Histories, Part, Windows, targets
from training.evaluate.ranking import Task, ndcg
from training.fit.remember import choose_recipe, with_memory
from training.memory import likeness as likenesses
from training.memory.likeness import likeness
from training.memory.lists import best
from training.memory.memory import LIKENESS, MemoryRanker, Recipe, Sources, choose
from training.memory.transitions import transitions

ITEMS = 8


def of(*histories: list[int], parts: list[list[int]] | None = None) -> Histories:
    offsets = before_each([len(each) for each in histories])
    items = np.concatenate(histories).astype(np.int32)
    given = np.concatenate(parts) if parts else np.zeros(len(items))
    return Histories(offsets, items, given.astype(np.uint8))


def words(*items: list[int]) -> ItemWords:
    offsets = before_each([len(each) for each in items])
    flat = np.concatenate([*items, []]).astype(np.int32)
    return ItemWords(offsets, flat, int(flat.max(initial=-1)) + 1)


NO_WORDS = words(*[[]] * ITEMS)


def plain(histories: Histories) -> NDArray[np.float64]:
    """By the definition, pair by pair."""
    counts = np.zeros((ITEMS, ITEMS))
    for user in range(len(histories)):
        items = histories[user].tolist()
        for at, before in enumerate(items):
            for distance, after in enumerate(items[at + 1 : at + 11]):
                if after != before:
                    counts[before, after] += 0.8**distance
    logs: NDArray[np.float64] = np.log1p(counts)
    most: NDArray[np.float64] = np.maximum(logs.max(axis=1, keepdims=True), 1e-12)
    shares: NDArray[np.float64] = logs / most
    return shares


def test_transitions_are_counted_in_order_and_less_the_farther() -> None:
    random = np.random.default_rng(0)
    sizes = [1, 2, 5, 11, 12, 30]
    drawn = of(*(random.integers(0, ITEMS, size).tolist() for size in sizes))
    np.testing.assert_allclose(transitions(drawn, ITEMS).toarray(), plain(drawn), atol=1e-6)


def test_alike_is_the_cosine_of_words_rare_ones_more() -> None:
    said = words([0, 1], [0, 1], [0], [2], [0, 2], [], [1, 2], [0])
    found = likeness(said, ITEMS).toarray()
    dense = np.zeros((ITEMS, 3))
    for item in range(ITEMS):
        dense[item, said.words_J[said.offsets[item] : said.offsets[item + 1]]] = 1
    dense *= np.log((1 + ITEMS) / (1 + dense.sum(axis=0))) + 1
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    expected = dense @ dense.T
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert likeness(NO_WORDS, ITEMS).nnz == 0


def test_words_that_many_items_have_make_none_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likenesses, "_COMMON", 2)
    found = likeness(words([0, 1], [0, 1], [0], [2], [2], [], [], [0, 2]), ITEMS).toarray() > 0
    assert [tuple(pair) for pair in np.argwhere(found).tolist()] == [(0, 1), (1, 0)]


def test_a_list_tells_what_followed_from_what_is_alike() -> None:
    """As the service says it: by what most of a score is."""
    said = words([], [0], [0, 1], [], [], [], [], [0, 1])
    sources = Sources.of(of([1, 3], [1, 2], [1, 3]), said, ITEMS)
    for likeness_, alike in ((0.1, False), (9.0, True)):
        memory = sources.mix(Recipe(likeness_, weight=1.0))
        reasons = memory.reasons([1], [3, 7, 2])
        assert reasons == [Reason(1, alike=False), Reason(1, alike=True), Reason(1, alike=alike)]


def test_lists_are_cut_to_the_best_of_each_row() -> None:
    random = np.random.default_rng(1)
    table = random.random((20, 30)) * (random.random((20, 30)) < 0.5)
    kept = best(sp.csr_array(table), 4).toarray()
    for row, cut in zip(table, kept, strict=True):
        count = min(4, (row > 0).sum())
        assert np.array_equal(np.sort(cut)[::-1][:count], np.sort(row)[::-1][:count])
        assert (cut > 0).sum() == count


def test_the_ranker_scores_what_the_service_recalls() -> None:
    random = np.random.default_rng(2)
    drawn = of(*(random.integers(0, ITEMS, 12).tolist() for _ in range(9)))
    sources = Sources.of(drawn, words(*([n % 3, 3 + n % 2] for n in range(ITEMS))), 5)
    memory = sources.mix(Recipe(0.7, 0.6, 2.5)).check()
    assert np.diff(memory.offsets).max() == 5
    windows = Windows(drawn.offsets[:-1], np.full(9, 12))
    scores_BN = MemoryRanker(memory).score(drawn.items, windows)
    for user, scores_N in enumerate(scores_BN):
        recalled, expected = memory.recall(drawn[user].tolist()), np.zeros(ITEMS, np.float32)
        expected[recalled.rows_J] = recalled.scores_J
        np.testing.assert_allclose(scores_N, expected, rtol=1e-5)


def test_one_that_is_worth_nothing_replaces_an_earlier_one(tmp_path: Path) -> None:
    memory = Sources.of(of([0, 1]), NO_WORDS, ITEMS).mix(Recipe(weight=2.0))
    stage_files.write_memory(tmp_path, memory)
    read = stage_files.memory(tmp_path)
    assert read is not None
    assert read.scores_J.tolist() == [2.0]
    stage_files.write_memory(tmp_path, None)
    assert stage_files.memory(tmp_path) is None


class Useless:
    """Scores nothing, or whatever is last most."""

    def __init__(self, last: float = 0.0) -> None:
        self.last = last

    def score(self, items: np.ndarray, windows: Windows) -> np.ndarray:
        scores = np.zeros((len(windows.start), ITEMS), np.float32)
        scores[:, -1] = self.last
        return scores


@pytest.fixture
def cycle() -> Histories:
    """Everybody goes round; the last two of each are held out."""
    rounds = [[(start + n) % (ITEMS - 1) for n in range(5)] for start in range(ITEMS - 1)]
    return of(*rounds, parts=[[0, 0, 0, 1, 2]] * len(rounds))


def test_a_memory_that_knows_what_comes_gets_weight(cycle: Histories) -> None:
    sources = Sources.of(cycle.up_to(Part.TRAIN), NO_WORDS, ITEMS)
    validation = Task(targets(cycle, Part.VALIDATION), ITEMS, filter_seen=True)
    recipe = choose_recipe(Useless(1.0), sources, LIKENESS, (0.0, 2.0), validation)
    assert recipe.weight == 2.0
    assert recipe == choose(sources, (0.0,), validation)._replace(weight=2.0)


def test_one_that_knows_nothing_gets_none(cycle: Histories) -> None:
    nothing = Sources.of(of([0], [1]), NO_WORDS, ITEMS)
    validation = Task(targets(cycle, Part.VALIDATION), ITEMS, filter_seen=True)
    recipe = choose_recipe(Useless(), nothing, LIKENESS, (0.0, 2.0), validation)
    assert recipe.weight == 0.0


def test_without_a_memory_the_sum_is_the_model() -> None:
    windows = Windows(np.zeros(1, np.int64), np.ones(1, np.int64))
    summed = with_memory(Useless(3.0), None).score(np.zeros(1, np.int32), windows)
    assert summed.max() == 3.0


def test_weights_are_tried_as_the_sum_ranks(cycle: Histories) -> None:
    """Both score once; the short cut finds what each sum by itself does."""
    sources = Sources.of(cycle.up_to(Part.TRAIN), NO_WORDS, ITEMS)
    memory = sources.mix(Recipe(0.0, 0.6, 1.0))
    hidden_N = np.arange(ITEMS) == 2
    validation = Task(targets(cycle, Part.VALIDATION), ITEMS, True, hidden_N)
    for weights in ((0.0, 0.3), (0.3, 1.0), (1.0, 2.0)):
        chosen = choose_recipe(Useless(0.7), sources, LIKENESS, weights, validation)
        told = {}
        for weight in weights:
            scaled = replace(
                memory, scores_J=memory.scores_J * np.float32(weight), decay=chosen.decay
            )
            told[weight] = ndcg(with_memory(Useless(0.7), scaled), validation)
        assert chosen.weight == max(told, key=lambda weight: told[weight])
