"""The words of items: those of their texts, and their attributes as words of their own."""

from typing import NamedTuple

import numpy as np
import polars as pl

from models.contract.ragged import before_each
from models.contract.words import words_of
from models.nets.words import ItemWords
from training.config import WordsConfig


class Vocabulary(NamedTuple):
    """Words of every item, and what each is."""

    item_words: ItemWords
    words: list[str]


def item_words(items: pl.DataFrame, config: WordsConfig) -> Vocabulary:
    """Words that at least ``config.min_items`` items have, the commonest ``config.most`` of them.

    ``items`` has the columns item_index, text and attributes, one row an item in index order.
    """
    words = map(words_of, items["text"], items["attributes"])
    said = (
        items.lazy()
        .select("item_index", word=pl.Series(words, dtype=pl.List(pl.String)))
        .explode("word", empty_as_null=False)
        .drop_nulls()
    )
    counts = said.group_by("word").len().filter(pl.col("len") >= config.min_items)
    vocabulary = counts.sort("len", "word", descending=[True, False]).head(config.most)
    rows = vocabulary.select("word").with_row_index("row").collect()
    found = said.join(rows.lazy(), on="word").sort("item_index", "row").collect()
    per_item = np.bincount(found["item_index"].to_numpy(), minlength=len(items))
    said_by = ItemWords(before_each(per_item), found["row"].cast(pl.Int32).to_numpy(), len(rows))
    return Vocabulary(said_by, rows["word"].to_list())
