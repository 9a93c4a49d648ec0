import numpy as np
import polars as pl

from training.config import WordsConfig
from training.encoders.words import item_words

ITEMS = pl.DataFrame(
    {
        "item_index": [0, 1, 2, 3],
        "text": ["Red lipstick, red!", None, "matte RED", "Lonely"],
        "attributes": ['{"brand": "Acme"}', '{"brand": ["acme"]}', None, '{"brand": "other"}'],
    },
    {"item_index": pl.UInt32, "text": pl.String, "attributes": pl.String},
)


def test_words_that_several_items_share_are_kept_once_an_item() -> None:
    found = item_words(ITEMS, WordsConfig(min_items=2)).item_words
    assert found.vocabulary_size == 2  # brand=acme and red, in both items each
    assert found.offsets.tolist() == [0, 2, 3, 4, 4]
    assert found.words_J.tolist() == [0, 1, 0, 1]


def test_the_commonest_words_are_kept_where_there_are_too_many() -> None:
    assert item_words(ITEMS, WordsConfig(min_items=1)).item_words.vocabulary_size == 6
    assert item_words(ITEMS, WordsConfig(min_items=1, most=1)).item_words.words_J.tolist() == [0, 0]
    assert item_words(ITEMS, WordsConfig(most=0)).item_words.vocabulary_size == 0


def test_a_column_tells_its_words_from_those_of_others() -> None:
    """A column's name may hold blanks, a value any number of words, numbers and lists."""
    given = '{"made by": "Acme & Co", "year": 1995.0, "tags": ["a b", 7], "new": true}'
    items = ITEMS.with_columns(text=pl.lit(None, pl.String), attributes=pl.lit(given))
    found = item_words(items, WordsConfig()).item_words
    assert found.vocabulary_size == 7  # made by=acme, made by=co, year=1995, tags=a, b, 7, new=true
    assert np.diff(found.offsets).tolist() == [7] * 4


def test_a_price_is_no_word() -> None:
    given = ['{"price": "12.99", "year": 1995.0}', '{"price": 12.99, "year": 1995}']
    items = pl.DataFrame({"item_index": [0, 1], "text": [None, None], "attributes": given})
    found = item_words(items.with_columns(pl.col("text").cast(pl.String)), WordsConfig(min_items=2))
    assert found.item_words.vocabulary_size == 1  # year=1995
