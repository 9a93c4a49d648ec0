import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.catalogue.item_codec import ItemCodec
from tests.tiny_bundle import ITEMS, SPACE

CODEC = ItemCodec(SPACE, ITEMS)
CODES = (b"\1\0" + b"\2\0") * len(SPACE.modalities)


def test_every_item_of_a_bundle_survives_the_round_trip(tiny: Bundle) -> None:
    codec = ItemCodec.of(tiny)
    for row, codes_S in enumerate(tiny.semantic_ids.codes_NS):
        found = codec.decode(codec.encode(ItemCodes(row, codes_S)))
        assert found is not None
        assert found.item_index == row
        assert found.codes.tolist() == codes_S.tolist()


@given(st.binary(max_size=30) | st.binary(min_size=12, max_size=12) | st.none() | st.text())
def test_whatever_is_decoded_can_be_scored(value: object) -> None:
    found = CODEC.decode(value)
    if found is not None:
        assert 0 <= found.item_index <= ITEMS
        assert found.codes.dtype == np.uint16
        assert found.codes.max() <= SPACE.null_code


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"", "nothing"),
        (b"\0" * 11, "a byte is missing"),
        (b"\0" * 13, "a byte too many"),
        (b"\xff" * 4 + CODES, "a negative row"),
        ((ITEMS + 1).to_bytes(4, "little") + CODES, "a row outside the catalogue"),
        (b"\0" * 4 + b"\xff\xff" * 4, "codes outside the codebook"),
        (b"\0" * 4 + b"\x10\0" + b"\0" * 6, "a modality that is missing in one level of two"),
        ("\0" * 12, "text"),
    ],
)
def test_what_the_model_could_not_take_is_no_item(value: object, fault: str) -> None:
    assert CODEC.decode(value) is None, fault
    assert CODEC.decode(b"\0" * 4 + CODES) is not None
