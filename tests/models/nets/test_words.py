import numpy as np
import torch

from models.nets.words import ItemWords, WordBag

# Items: words {0, 2}, none, {1}.
WORDS = ItemWords(np.array([0, 2, 2, 3]), np.array([0, 2, 1], np.int32), 3)


def test_an_items_vector_is_the_sum_of_its_words() -> None:
    bag = WordBag(WORDS, 4)
    word = bag.embedding.weight
    found_BTW = bag(torch.tensor([[2, 0], [0, 1]]))
    torch.testing.assert_close(found_BTW[0, 0], word[1])
    torch.testing.assert_close(found_BTW[0, 1], word[0] + word[2])
    torch.testing.assert_close(found_BTW[1, 0], found_BTW[0, 1])
    assert not found_BTW[1, 1].any()


def test_the_table_has_every_item_and_an_empty_row_after_them() -> None:
    bag = WordBag(WORDS, 4)
    torch.testing.assert_close(bag.table()[:3], bag(torch.arange(3)))
    assert bag.table().shape == (4, 4)
    assert not bag.table()[3].any()


def test_the_sums_of_all_items_say_the_same() -> None:
    """As a GPU takes them: vectors, and what is learned from them."""
    bag, item_BT = WordBag(WORDS, 4), torch.tensor([[2, 0, 3], [0, 1, 0]])
    weights = torch.randn(2, 3, 4)
    gradients = list[torch.Tensor]()
    for found_BTW in (bag(item_BT), bag.of_all(item_BT)):
        gradients += torch.autograd.grad((found_BTW * weights).sum(), bag.embedding.weight)
    torch.testing.assert_close(bag.of_all(item_BT), bag(item_BT))
    torch.testing.assert_close(*gradients)
