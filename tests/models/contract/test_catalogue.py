"""A catalogue is read back as it was written, whatever its strings are."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.catalogue import Catalogue, CatalogueItem, write_catalogue

texts = st.text(st.characters(codec="utf-8"), max_size=20)
items = st.builds(
    CatalogueItem,
    item_id=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
    title=st.none() | texts,
    popularity=st.integers(0, 2**40),
    attributes=st.none() | texts,
    picture=st.none() | texts,
    recent=st.none() | st.floats(0, 2**100, width=32),
    first_used=st.integers(0, 2**40),
)


def written(made: list[CatalogueItem], directory: Path) -> Catalogue:
    files = directory / "columns", directory / "ids"
    write_catalogue(*files, made)
    return Catalogue.load(*files)


@given(st.lists(items, min_size=1, max_size=30, unique_by=lambda item: item.item_id))
def test_what_is_written_is_read_back(made: list[CatalogueItem]) -> None:
    with TemporaryDirectory() as directory:
        found = written(made, Path(directory))
    none_for_empty = [
        item._replace(
            title=item.title or None,
            attributes=item.attributes or None,
            picture=item.picture or None,
            recent=float(np.float32(item.popularity if item.recent is None else item.recent)),
        )
        for item in made
    ]
    assert list(found) == none_for_empty
    assert [found.rows.get(item.item_id) for item in made] == list(range(len(made)))
    used = found.recent_N[found.by_popularity_N]
    assert (np.diff(used) <= 0).all()


def test_ids_that_are_not_there_are_none(tmp_path: Path) -> None:
    found = written([CatalogueItem("a"), CatalogueItem("ab")], tmp_path)
    assert [found.rows.get(i) for i in ("", "b", "abc", "a\0", "\ud800")] == [None] * 5
    with pytest.raises(IndexError):
        found.titles[2]
    assert found[0:2] == list(found)
