import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.config import CodeSpace
from models.contract.semantic_id import SemanticIdTable, resolve_collisions
from models.contract.types import BEHAVIOUR, IMAGE, TEXT


def space(levels: int = 2, codebook_size: int = 4, modalities: int = 2) -> CodeSpace:
    return CodeSpace(
        modalities=(TEXT, IMAGE, BEHAVIOUR)[:modalities],
        levels=levels,
        codebook_size=codebook_size,
        vector_size=3,
    )


@given(st.data())
def test_resolution_always_ends_unique(data: st.DataObject) -> None:
    """Whatever the collisions and missing modalities, every item ends with an ID of its own."""
    shape = space()
    items = data.draw(st.integers(1, 60))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    codes_NML = random.integers(0, shape.codebook_size, (items, 2, 2)).astype(np.uint16)
    codes_NML[random.random((items, 2)) < 0.3] = shape.null_code
    before_NS = codes_NML.reshape(items, -1)
    residual_NMQ = random.normal(size=(items, 2, 3)).astype(np.float32)
    codebook_MKQ = random.normal(size=(2, 4, 3)).astype(np.float32)

    found = resolve_collisions(shape, before_NS, residual_NMQ, codebook_MKQ)

    assert len(np.unique(found.table.semantic_ids(), axis=0)) == items
    changed = (found.table.codes_NS != before_NS).any(axis=1)
    assert found.moved == changed.sum()
    assert found.moved + found.extended <= found.collided
    null_before = before_NS == shape.null_code
    assert ((found.table.codes_NS == shape.null_code) == null_before).all()


def test_the_nearest_item_keeps_its_code_and_the_farther_moves_next_door() -> None:
    shape = space(levels=1, codebook_size=3, modalities=1)
    codebook_MKQ = np.array([[[0, 0, 0], [1, 0, 0], [9, 0, 0]]], np.float32)
    residual_NMQ = np.array([[[0.4, 0, 0]], [[0.1, 0, 0]]], np.float32)
    found = resolve_collisions(shape, np.zeros((2, 1), np.uint16), residual_NMQ, codebook_MKQ)
    assert found.table.codes_NS.ravel().tolist() == [1, 0]
    assert (found.collided, found.moved, found.extended) == (2, 1, 0)


def test_what_moves_is_the_last_level_of_the_last_modality_that_is_there() -> None:
    """Pictures, behind texts: no behaviour is known. The others would have another item move."""
    shape = space(codebook_size=3, modalities=3)
    null = shape.null_code
    image_KQ = np.array([[0, 0, 0], [9, 0, 0], [1, 0, 0]], np.float32)
    other_KQ = np.array([[0, 0, 0], [1, 0, 0], [9, 0, 0]], np.float32)
    residual_NMQ = np.zeros((2, 3, 3), np.float32)
    residual_NMQ[:, :, 0] = [[0.1, 0.4, 0.1], [0.4, 0.1, 0.4]]
    codes_NS = np.array([[2, 0, 1, 0, null, null]] * 2, np.uint16)
    codebook_MKQ = np.stack([other_KQ, image_KQ, other_KQ])
    found = resolve_collisions(shape, codes_NS, residual_NMQ, codebook_MKQ)
    assert found.table.codes_NS.tolist() == [[2, 0, 1, 2, null, null], [2, 0, 1, 0, null, null]]


def test_items_without_any_modality_are_told_apart_by_the_extra_code() -> None:
    shape = space()
    codes_NS = np.full((3, 4), shape.null_code, np.uint16)
    found = resolve_collisions(
        shape, codes_NS, np.zeros((3, 2, 3), np.float32), np.zeros((2, 4, 3), np.float32)
    )
    assert found.table.extra_N.tolist() == [0, 1, 2]
    assert found.table.extra_N.dtype == np.uint16


def test_more_alike_items_than_16_bits_tell_apart_get_wider_extra_codes() -> None:
    shape, items = space(), 2**16 + 1
    codes_NS = np.full((items, 4), shape.null_code, np.uint16)
    nothing = np.zeros((items, 2, 3), np.float32), np.zeros((2, 4, 3), np.float32)
    found = resolve_collisions(shape, codes_NS, *nothing)
    assert (found.table.extra_N == np.arange(items)).all()
    assert found.table.extra_N.dtype == np.uint32


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [
        ([[0, 0, 0, 0], [0, 0, 0, 0]], "not unique"),
        ([[0, 0, 0, 5]], "above"),
        ([[0, 4, 0, 0]], "missing in some"),
        ([[0, 0, 0]], "want"),
    ],
)
def test_a_bad_table_is_refused(codes: list[list[int]], complaint: str) -> None:
    codes_NS = np.array(codes, np.uint16)
    with pytest.raises(ValueError, match=complaint):
        SemanticIdTable(space(), codes_NS, np.zeros(len(codes), np.uint16)).check()
