"""The words of items: those of their texts, and their attributes as words of their own."""

import json
import re
from typing import Any

import numpy as np
import polars as pl

from models.nets.words import ItemWords
from training.config import WordsConfig
from training.data.values import plain_text

WORD = r"\w+"


def item_words(items: pl.DataFrame, config: WordsConfig) -> ItemWords:
    """Words that at least ``config.min_items`` items have, the commonest ``config.most`` of them.

    ``items`` has the columns item_index, text and attributes, one row an item in index order.
    """
    text = pl.col("text").fill_null("").str.to_lowercase().str.extract_all(WORD)
    attributes = pl.Series(map(_attribute_words, items["attributes"]), dtype=pl.List(pl.String))
    said = (
        items.lazy()
        .select("item_index", word=pl.concat_list(text, attributes).list.unique())
        .explode("word", empty_as_null=False)
        .drop_nulls()
    )
    counts = said.group_by("word").len().filter(pl.col("len") >= config.min_items)
    vocabulary = counts.sort("len", "word", descending=[True, False]).head(config.most)
    rows = vocabulary.select("word").with_row_index("row").collect()
    found = said.join(rows.lazy(), on="word").sort("item_index", "row").collect()
    per_item = np.bincount(found["item_index"].to_numpy(), minlength=len(items))
    offsets = np.concatenate([[0], np.cumsum(per_item)]).astype(np.int64)
    return ItemWords(offsets, found["row"].cast(pl.Int32).to_numpy(), len(rows))


def _attribute_words(attributes: str | None) -> list[str]:
    """Words that only their column has, such as ``brand=acme``, of a JSON object of columns."""
    given: dict[str, Any] = json.loads(attributes) if attributes else {}
    return [
        f"{column}={word}"
        for column, value in given.items()
        for word in re.findall(WORD, plain_text(value).lower())
    ]
