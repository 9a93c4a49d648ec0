from copy import deepcopy

import numpy as np
import pytest
import torch

from models.contract.config import SequenceConfig, Towers
from models.nets.rows import code_tensor
from models.nets.sequence import SequenceModel
from models.nets.words import ItemWords, WordVectors
from tests.training.fit.test_borrowing import BARE, NEW, without_the_new
from tests.training.fit.test_fit_sequence import SPACE, table
from tests.training.small import GROUPS, ITEMS, PER_GROUP, WORDS
from training.fit.word_ridge import Ridge, foretell
from training.memory.likeness import said

WIDTH = 16
NOTHING = WordVectors(torch.zeros(0, 2 * WIDTH), torch.zeros(0, 2 * WIDTH))


def trained(towers: Towers) -> SequenceModel:
    """As training would leave it: an item's vectors are its group's, and a little of its own."""
    architecture = SequenceConfig(
        code_space=SPACE, catalogue_size=ITEMS, max_history=8, width=WIDTH, blocks=1, heads=1,
        reweighting="off", towers=towers,
    )  # fmt: skip
    torch.manual_seed(0)
    model = SequenceModel(architecture).eval()
    group_N = torch.arange(ITEMS) // PER_GROUP
    for tower in model.each():
        for residual, _ in tower.residuals():
            residual.weight.data[:ITEMS] += torch.randn(GROUPS, WIDTH)[group_N]
    known = np.unique(without_the_new().items)
    model.seen[known] = 1.0
    return model


def vectors(model: SequenceModel) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, D): of all items, as they are scored and as they are read."""
    rows_N, codes_NS = torch.arange(ITEMS), code_tensor(table().codes_NS)
    with torch.no_grad():
        return model.represent(codes_NS, rows_N), model.read(codes_NS, rows_N)


def test_a_new_item_is_where_its_words_say_and_others_stay() -> None:
    model = trained((("id",), ("behaviour",)))
    before = deepcopy(model)
    words = foretell(model, NOTHING, WORDS, without_the_new())
    found = WORDS.words_J[WORDS.offsets[NEW] : WORDS.offsets[NEW + 1]]
    for was_ND, now_ND, of_words in zip(vectors(before), vectors(model), words, strict=True):
        assert not was_ND[NEW].any()
        mates = now_ND[NEW + 1 : NEW + PER_GROUP]
        for part in (slice(0, WIDTH), slice(WIDTH, None)):
            alike = torch.cosine_similarity(now_ND[NEW, part], mates[:, part].mean(0), dim=0)
            assert alike > 0.9
        # What the service sums up of an item that comes while it serves.
        torch.testing.assert_close(of_words[found].sum(0), now_ND[NEW])
        known = np.unique(without_the_new().items)
        torch.testing.assert_close(now_ND[known], was_ND[known], rtol=0, atol=0)


def test_once_more_changes_nothing() -> None:
    model = trained((("id",), ("behaviour",)))
    words = foretell(model, NOTHING, WORDS, without_the_new())
    once, again = vectors(model), foretell(model, words, WORDS, without_the_new())
    for first, second in zip([*once, *words], [*vectors(model), *again], strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    "words", [WORDS, ItemWords(np.zeros(ITEMS + 1, np.int64), WORDS.words_J[:0], 0)]
)
def test_towers_with_words_and_items_without_learn_none(words: ItemWords) -> None:
    towers: Towers = (("words", "id"),) if words.vocabulary_size else (("id",),)
    model = trained(towers)
    before, nothing = deepcopy(model), WordVectors(torch.zeros(0, WIDTH), torch.zeros(0, WIDTH))
    assert foretell(model, nothing, words, without_the_new()) is nothing
    for was, now in zip(before.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(was, now)


def test_beside_a_tower_with_words_the_others_learn_them() -> None:
    """And what the first learned of words stays."""
    model = trained((("words", "id"), ("id",)))
    learned_VD = torch.randn(WORDS.vocabulary_size, 2 * WIDTH)
    learned_VD[:, WIDTH:] = 0
    words = foretell(model, WordVectors(learned_VD, learned_VD), WORDS, without_the_new())
    assert torch.equal(words.scored_VD[:, :WIDTH], learned_VD[:, :WIDTH])
    assert words.scored_VD[:, WIDTH:].any()
    scored_ND, _ = vectors(model)
    assert not scored_ND[NEW, :WIDTH].any()  # folded words are zero here, and no residual is noise
    assert scored_ND[NEW, WIDTH:].any()


def test_the_ridge_is_that_of_the_closed_form() -> None:
    rows = np.arange(ITEMS - 5)
    used_J = np.random.default_rng(0).integers(1, 50, len(rows))
    target_JW = np.random.default_rng(1).normal(size=(len(rows), 3)).astype(np.float32)
    target_JW[:, 2] = 0
    ridge = Ridge.of(said(WORDS)[rows], used_J)
    bags_JV, weight_J = ridge.said_JV.toarray(), np.sqrt(used_J) / np.sqrt(used_J).mean()
    assert ridge.penalty == 2  # words an item
    inner_VV = bags_JV.T @ (weight_J[:, None] * bags_JV) + 2 * np.eye(WORDS.vocabulary_size)
    exact_VW = np.linalg.solve(inner_VV, bags_JV.T @ (weight_J[:, None] * target_JW))
    np.testing.assert_allclose(ridge.fit(target_JW), exact_VW, atol=0.01 * np.abs(exact_VW).max())


def test_of_a_new_item_without_words_nothing_is_known() -> None:
    """Else it would be scored, alike for everybody, and shown."""
    model, worded_N = trained((("id",), ("behaviour",))), np.arange(ITEMS) != BARE
    offsets = np.concatenate([[0], np.cumsum(2 * worded_N)])
    words = WORDS._replace(offsets=offsets, words_J=WORDS.words_J[np.repeat(worded_N, 2)])
    foretell(model, NOTHING, words, without_the_new())
    assert (model.seen[NEW].item(), model.seen[BARE].item()) == (1, 0)
