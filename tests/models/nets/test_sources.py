"""What a tower sees of an item."""

import numpy as np
import torch

from models.contract.config import CodeSpace, SequenceConfig
from models.nets.sources import CodeSource, ItemSources
from models.nets.tower import AttentionTower
from models.nets.words import ItemWords

SPACE = CodeSpace(modalities=("behaviour",), levels=2, codebook_size=4, vector_size=4)
CONFIG = SequenceConfig(code_space=SPACE, catalogue_size=3, max_history=4, width=8)
WORDS = ItemWords(np.array([0, 1, 3, 3]), np.array([0, 0, 1], np.int32), 2)


def test_the_order_in_which_sources_are_named_changes_no_weight() -> None:
    made = []
    for names in (("id", "words", "codes"), ("codes", "words", "id")):
        torch.manual_seed(0)
        made.append(AttentionTower(CONFIG, names).state_dict())
    assert list(made[0]) == list(made[1])
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_an_item_is_the_sum_of_its_sources_and_folding_words_keeps_it() -> None:
    codes_TS, items_T = torch.tensor([[0, 1], [2, 3], [4, 4]]), torch.arange(3)
    known_T1 = torch.tensor([[1.0], [0.0], [1.0]])
    sources = ItemSources(CONFIG, ("codes", "words", "id"))
    for source in sources.each():
        source.learn_words(WORDS)
    parts = [source(codes_TS, items_T, known_T1) for source in sources.each()]
    assert not parts[2][1].any()  # z_ID of an item that training never saw
    before = sources(codes_TS, items_T, known_T1)
    torch.testing.assert_close(before, sum(parts))
    for source in sources.each():
        source.fold_words()
    torch.testing.assert_close(sources(codes_TS, items_T, known_T1), before)
    assert sources.get_parameter("words.vectors.weight").shape == (4, 8)


def test_codes_whose_codewords_are_alike_start_alike() -> None:
    """As large as they are without; the null code has none, and starts where it did."""
    torch.manual_seed(0)
    source, codewords_MLKQ = CodeSource(CONFIG), torch.randn(1, 2, 4, 4)
    codewords_MLKQ[0, 1, 3] = codewords_MLKQ[0, 1, 0]
    before_SKW = source.code_vectors().detach().clone()
    source.start_from_codewords(codewords_MLKQ)
    after_SKW = source.code_vectors().detach()
    assert torch.equal(after_SKW[:, 4], before_SKW[:, 4])
    same_KK = torch.cdist(after_SKW[1, :4], after_SKW[1, :4]) < 1e-6
    assert [tuple(pair) for pair in same_KK.triu(1).nonzero().tolist()] == [(0, 3)]
    sizes = [float(each.square().sum(0).mean().sqrt()) for each in (before_SKW, after_SKW[:, :4])]
    assert all(0.005 < size < 0.08 for size in sizes)
