"""What an item is like, against the plain definition."""

import numpy as np
import pytest

from models.contract.bundle import Bundle
from models.contract.intake import Content, Taken
from service.catalogue.change import Change
from service.catalogue.live_items import LiveItems
from service.generation import similar
from service.generation.similar import Similar
from service.log.log import Entry
from tests.tiny_bundle import ITEMS


@pytest.fixture
def items(tiny: Bundle) -> LiveItems:
    """Two live items, one as item 3 is and one deleted, and item 8 deleted."""
    made, content = LiveItems(tiny), Content()
    codes_NS, vectors = tiny.semantic_ids.codes_NS, tiny.vectors
    taken = Taken(codes_NS[3], vectors.scored_ND[3], vectors.read_NW[3])
    for position, (kind, item_id) in enumerate(
        [("put", "a"), ("put", "b"), ("delete", "b"), ("delete", "item-8")], start=1
    ):
        put = kind == "put"
        change = Change(kind, item_id, 4e9, content=content if put else None)  # type: ignore[arg-type]
        made.apply(Entry(position, change), taken if put else None)
    made.publish()
    return made


@pytest.mark.parametrize("at_once", [7, 2**16])
def test_by_behaviour_it_is_the_cosine_of_what_behaviour_towers_score(
    tiny: Bundle, items: LiveItems, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similar, "_AT_ONCE", at_once)
    (columns,) = tiny.vectors.columns
    vectors = tiny.item_vectors_ND[:, columns]
    unit = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12)  # item 5 has none
    cosines = np.append(unit @ unit[3], 1.0)
    cosines[[3, 8]] = -np.inf
    found = Similar(items).near(3, "behaviour", 10)
    assert found[0].row == ITEMS
    assert [near.row for near in found] == np.argsort(-cosines, kind="stable")[:10].tolist()
    np.testing.assert_allclose([n.score for n in found], np.sort(cosines)[::-1][:10], atol=1e-5)


def test_by_content_it_is_the_share_of_codes_from_the_first_level_on(
    tiny: Bundle, items: LiveItems
) -> None:
    """The tiny bundle has text in its first two slots; behaviour's codes do not count."""
    own, others = tiny.semantic_ids.codes_NS[3], tiny.semantic_ids.codes_NS
    first = others[:, 0] == own[0]
    shares = (first.astype(float) + (first & (others[:, 1] == own[1]))) / 2
    for near in Similar(items).near(3, "content", 60):
        share = 1 if near.row >= ITEMS else shares[near.row]
        assert near.score == pytest.approx(share, abs=2e-3)
    assert Similar(items).near(3, "content", 1)[0].row == ITEMS


def test_by_content_the_nearest_are_the_same_whether_few_or_all_are_asked_for(
    items: LiveItems,
) -> None:
    """Where enough have a first code in common, no others are looked at."""
    similar = Similar(items)
    for row in range(ITEMS + 1):
        everything = similar.near(row, "content", ITEMS)
        for k in (1, 2, 3, 5, 10):
            assert similar.near(row, "content", k) == everything[:k]


def test_as_many_are_found_as_there_are(items: LiveItems) -> None:
    found = Similar(items).near(ITEMS, "behaviour", 100)
    rows = {near.row for near in found}
    assert rows == set(range(ITEMS)) - {8}
