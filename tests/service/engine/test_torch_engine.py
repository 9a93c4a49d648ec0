"""The engine in torch on one device: what it answers, with a CPU in the GPU's place."""

from contextlib import nullcontext

import numpy as np
import pytest

from models.contract import bundle as bundles
from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from models.nets import similarity
from service.engine import masks, tables, torch_engine
from service.engine.choose import make_engine
from service.engine.staged import BLOCK, Among, Items, best, best_in_full
from service.engine.tables import WORK_BYTES, bytes_needed
from service.engine.torch_engine import TorchEngine, power_of_two
from service.retrieval.live import nothing_lives
from service.retrieval.rows import RowSet
from service.retrieval.selection import Allowed, Selection
from service.runtime import Device, ProviderError
from service.settings import Settings
from tests.conftest import TinyBundles
from tests.on_meta import META, OnDevice, Waited
from tests.service.engine.shop import Shop
from tests.tiny_bundle import ITEMS

torch = pytest.importorskip("torch")
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    ),
]


@pytest.fixture(scope="module", params=[True, False], ids=["remembers", "plain"])
def bundle(request: pytest.FixtureRequest, tiny_bundles: TinyBundles) -> Bundle:
    return bundles.read(tiny_bundles.copy(remembers=request.param))


@pytest.mark.parametrize("device", DEVICES)
def test_it_answers_as_the_parts_on_the_host_do_while_items_come_and_go(
    bundle: Bundle, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_ROOM", 4)
    shop = Shop(bundle)
    engine = TorchEngine(bundle, device, lambda: shop.live)
    settings = Settings(bundle=bundle.directory, provider="cpu")
    host = make_engine(bundle, settings, lambda: shop.live)
    room = engine.tables.rows
    for more in (0, 3, 0, 40, room - ITEMS - 43, 7, 1500):
        if more:
            shop.change(more)
        asked = shop.asks(40)
        found, expected = engine.candidates(*asked).found, host.candidates(*asked).found
        assert found.items_BK.shape == expected.items_BK.shape
        np.testing.assert_allclose(found.scores_BK, expected.scores_BK, rtol=1e-3, atol=1e-4)
        assert (found.items_BK == expected.items_BK).mean() > 0.99  # but for ties within rounding
        assert not engine.tables.found_R[-1]  # what fills is hidden there
    assert engine.tables.rows > room  # there was no room for so many: it was made


def test_sizes_are_rounded_up_to_powers_of_two() -> None:
    assert [power_of_two(n) for n in (1, 2, 3, 4, 5, 32, 33)] == [1, 2, 4, 4, 8, 32, 64]


def test_few_shapes_are_recorded_all_of_them_before_the_first_request(bundle: Bundle) -> None:
    shop = Shop(bundle)
    engine = TorchEngine(bundle, "cpu", lambda: shop.live)
    engine.prepare(5)
    prepared = set(engine.replay.recordings)
    assert len(prepared) == 4 * 2  # of 1, 2, 4 and 8 histories; up to 8 and up to 12 items long
    for count in (1, 2, 3, 5):
        histories, k, selections = shop.asks(count)
        plain = [Selection(selection.hidden) for selection in selections]
        engine.candidates(histories, k, plain)
    assert set(engine.replay.recordings) == prepared


def test_what_the_device_has_no_memory_for_at_once_is_answered_in_parts(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(bundle)
    shop.change(5)
    engine = TorchEngine(bundle, "cpu", lambda: shop.live)
    asked = shop.asks(7)
    whole = engine.candidates(*asked).found
    monkeypatch.setattr(torch_engine, "WORK_BYTES", 4 * engine.tables.rows * 3)
    parts = engine.candidates(*asked).found
    np.testing.assert_array_equal(whole.items_BK, parts.items_BK)


def test_a_history_may_name_live_items_that_are_not_searched(bundle: Bundle) -> None:
    """As those of another process are: however many there are."""
    nothing = nothing_lives(*bundle.item_vectors_ND.shape)
    engine = TorchEngine(bundle, "cpu", nothing)
    shop, room = Shop(bundle), engine.tables.rows
    engine.tables.lists = None  # it is like another, but nothing was ever taken after it
    alike = ItemCodes(room + 5, shop.items[3].codes, bundle.vectors.read(np.array(3)))
    told = [Selection()] * 2
    one, other = engine.candidates([[alike], [shop.items[3]]], [9, 9], told).found.items_BK
    assert engine.tables.rows > room
    np.testing.assert_array_equal(one, other)


def test_a_vector_of_no_numbers_is_an_error(bundle: Bundle) -> None:
    shop = Shop(bundle)
    engine = TorchEngine(bundle, "cpu", lambda: shop.live)
    engine.tables.read_RD[5] = torch.nan
    engine.candidates([[shop.items[4]]], [3], [Selection()])
    with pytest.raises(ArithmeticError):
        engine.candidates([[shop.items[4]], [shop.items[5]]], [3, 3], [Selection()] * 2)


def test_masks_that_are_used_stay_on_the_device(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(bundle)
    engine = TorchEngine(bundle, "cpu", lambda: shop.live)
    told: list[Allowed] = []
    put = engine.masks._put

    def counting(allowed: Allowed) -> object:
        told.append(allowed)
        return put(allowed)

    monkeypatch.setattr(engine.masks, "_put", counting)
    one, other = (Allowed(RowSet.of(shop.random.random(ITEMS) < 0.5)) for _ in range(2))
    for allowed in (one, one, None, other, one):
        found = engine.candidates([[shop.items[1]]], [9], [Selection(allowed=allowed)]).found
        if allowed is not None:
            assert {*found.items_BK[0].tolist()} <= {*allowed.base.rows.tolist(), -1}
    assert [id(each) for each in told] == [id(one), id(other)]


def test_a_mask_is_of_these_rows_of_the_bundle_and_these_live_ones(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter keeps its rows of the bundle while live ones come. And whose mask is kept lives, or
    another might be taken for it; those used last are.
    """
    monkeypatch.setattr(masks, "_KEPT", 2)
    shop = Shop(bundle)
    shop.change(40)
    engine = TorchEngine(bundle, "cpu", lambda: shop.live)
    nothing, rows = RowSet.of(np.zeros(ITEMS, np.bool_)), ITEMS + np.arange(40)

    def found(allowed: Allowed) -> set[int]:
        told = [Selection(allowed=allowed)]
        return {*engine.candidates([[shop.items[1]]], [60], told).found.items_BK[0].tolist()} - {-1}

    live = rows[~shop.live.gone_M]
    some = [Allowed(nothing, part) for part in (live[:10], live[10:15], live[15:])]
    for allowed in some:
        assert found(allowed) == {*allowed.live.tolist()}
    assert [allowed for allowed, _ in engine.masks._kept.values()] == some[1:]
    shop.change(engine.tables.rows)  # they lie elsewhere, of another size
    assert found(some[2]) == {*live[15:][~shop.live.gone_M[live[15:] - ITEMS]].tolist()}


@pytest.mark.parametrize("in_full", [False, True])
def test_nothing_that_is_recorded_waits_for_the_device(
    bundle: Bundle, in_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor makes a shape of numbers, nor sends anything there: a GPU would refuse to record it."""
    monkeypatch.setattr(similarity, "in_float32", nullcontext)  # which knows nothing of `meta`
    shop = Shop(bundle)
    shop.change(5)
    engine = TorchEngine(bundle, META.type, lambda: shop.live)  # type: ignore[arg-type]
    engine.tables.follow(shop.live)
    for _ in range(5):
        histories, _, selections = shop.asks(6)
        asked = engine.replay.there(engine._asked(histories, selections))
        with torch.inference_mode(), OnDevice():
            found = engine._find(16, *asked, in_full=in_full)
        assert found.best.rows_BK.shape == (8, 16)


def test_what_would_not_be_recorded_is_noticed() -> None:
    """By what looks for it in the test above."""
    rows = torch.arange(3, device=META)
    for call in (
        lambda: rows[rows > 1],
        rows.nonzero,
        lambda: int(rows.sum()),
        rows.unique,
        lambda: rows + torch.arange(3),
        lambda: torch.arange(3).to(META),
        lambda: torch.repeat_interleave(rows, rows),
    ):
        with torch.inference_mode(), OnDevice(), pytest.raises((Waited, RuntimeError)):
            call()
    with OnDevice():
        torch.nonzero_static(rows > 1, size=2)
        rows.sort()


def test_a_search_works_in_as_much_as_is_reckoned_with(bundle: Bundle) -> None:
    """Of the largest batch, each of which may find other items: recorded, and again in full."""
    rows, width, k = 10_000 * BLOCK, 192, 2 * 128
    items = Items.room(rows, width, META)
    engine = TorchEngine(bundle, META.type, nothing_lives(*bundle.item_vectors_ND.shape))  # type: ignore[arg-type]
    tables = engine.tables
    tables.items, tables.added_R = items, torch.empty(rows, dtype=torch.bfloat16, device=META)
    tables.codes_RS = torch.empty(rows, 1, device=META)
    queries = engine._together()
    vectors_BD = torch.empty(queries, width, device=META)
    allowed_BW = torch.empty(queries, rows // 8, dtype=torch.uint8, device=META)
    hidden_H2 = torch.empty(64 * queries, 2, dtype=torch.long, device=META)
    given = [*items, vectors_BD, allowed_BW, hidden_H2, tables.added_R, engine.masks.bit_8]
    together = 0
    for search in best, best_in_full:
        with torch.inference_mode(), OnDevice(given) as seen:
            search(items, vectors_BD, Among(engine.masks.added(allowed_BW), hidden_H2), k)
        together += seen.most
    asked = 3 * allowed_BW.nbytes  # each query's, all together, and where a recording reads them
    assert WORK_BYTES < together + asked < 2 * WORK_BYTES


def test_room_that_there_is_no_memory_for_costs_nothing_that_is_there(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(bundle)
    engine = TorchEngine(bundle, "cpu", lambda: shop.live)
    asked = shop.asks(20)
    before = engine.candidates(*asked).found
    rows, full = engine.tables.rows, torch.full

    def no_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    nothing = shop.live
    shop.change(engine.tables.rows)
    monkeypatch.setattr(torch, "full", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        engine.candidates(*asked)
    monkeypatch.setattr(torch, "full", full)
    assert engine.tables.rows == rows
    grown, shop.live = shop.live, nothing
    np.testing.assert_array_equal(engine.candidates(*asked).found.items_BK, before.items_BK)
    shop.live = grown
    host = make_engine(bundle, Settings(bundle=bundle.directory, provider="cpu"), lambda: grown)
    found, expected = engine.candidates(*asked).found, host.candidates(*asked).found
    assert (found.items_BK == expected.items_BK).mean() > 0.99


def test_what_an_engine_before_left_is_reckoned_as_free(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch keeps it, and the driver does not know that it is free: every other bundle would be
    refused, of a catalogue that takes a third of the memory.
    """
    free = [10**9]

    def given_back() -> None:
        free[0] = 80 * 10**9

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free[0], 80 * 10**9))
    monkeypatch.setattr(torch.cuda, "empty_cache", given_back)
    assert tables._free_bytes() == 80 * 10**9


def test_a_catalogue_that_does_not_fit_is_refused_with_the_bytes(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 10**9))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    with pytest.raises(ProviderError, match=r"60 items need 4,\d{3},\d{3},\d{3} bytes"):
        tables.Tables(bundle, "cuda")
    assert bytes_needed(bundle) > 2 * tables.WORK_BYTES
