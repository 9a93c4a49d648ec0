"""What a tower sees of an item."""

import numpy as np
import torch

from models.contract.config import CodeSpace, SequenceConfig
from models.nets.sources import ItemSources
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
