"""An engine in another process: the same answers, for several workers, be it there or not."""

import gc
import socket
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.contract import bundle as bundles
from models.contract.bundle import Bundle
from models.contract.memory import Recalled
from models.contract.types import FloatArray, ItemCodes
from service.engine import remote as remote_engine
from service.engine import sets, wire
from service.engine.batcher import Batcher
from service.engine.choose import make_engine
from service.engine.engine import Answered, Engine, HostEngine
from service.engine.feeds import History
from service.engine.link import EngineAwayError
from service.engine.remote import RemoteEngine
from service.engine.shared import SharedEngine
from service.engine.wire import Frame, FrameError
from service.metrics import Metrics
from service.retrieval.live import CurrentLive, nothing_lives
from service.retrieval.rows import RowSet
from service.retrieval.selection import ANYTHING, Allowed, Selection
from service.runtime import ProviderError
from service.settings import Settings
from tests.conftest import TinyBundles
from tests.service.catalogue.test_live_items import Written
from tests.service.engine.sharing import Running, listening, serving
from tests.service.fakes import NAN, POISON, FakeRetriever, FakeScorer
from tests.service.program import eventually
from tests.tiny_bundle import ITEMS

LIVE = 8


def made_by(settings: Settings, bundle: Bundle, live: CurrentLive) -> Engine:
    return make_engine(bundle, settings, live)


class Fake:
    """An engine of fakes, which counts what it is asked together."""

    def __init__(self) -> None:
        self.scorer = FakeScorer()

    def __call__(self, bundle: Bundle, live: CurrentLive) -> Engine:
        return HostEngine(self.scorer, FakeRetriever())


def remote(path: Path, bundle: Bundle) -> RemoteEngine:
    return RemoteEngine(path, bundle, 1, nothing_lives(*bundle.item_vectors_ND.shape))


def history(row: int) -> list[ItemCodes]:
    return [ItemCodes(row, np.zeros(2, np.uint16))]


def ask(engine: Engine, *rows: int) -> Answered:
    return engine.candidates([*map(history, rows)], [2] * len(rows), [ANYTHING] * len(rows))


@contextmanager
def beside(written: Written) -> Iterator[Any]:
    """Draws batches over a catalogue in which some live and some are gone."""
    for n in range(LIVE):
        written.put(f"new-{n}", like=f"item-{3 * n + 1}")
    written.delete("new-2")
    for n in (4, 9, 33):
        written.delete(f"item-{n}")
    yield Drawn(written, np.random.default_rng(0))


class Drawn:
    """Batches: exclusions, filters that come again and such as come once, what is recalled."""

    def __init__(self, written: Written, random: np.random.Generator) -> None:
        self.random = random
        self.items = written.items
        self.filters = [self.allowed(share) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]

    def allowed(self, share: float) -> Allowed:
        rows = np.flatnonzero(self.random.random(ITEMS + LIVE) < share)
        base = RowSet.of(np.isin(np.arange(ITEMS), rows))
        return Allowed(base, rows[rows >= ITEMS])

    def history(self) -> History:
        codes_NS = self.items.bundle.semantic_ids.codes_NS
        rows = self.random.integers(0, ITEMS + LIVE, self.random.integers(1, 13)).tolist()
        return [
            ItemCodes(row, codes_NS[row])
            if row < ITEMS
            else self.items.codes(f"new-{row - ITEMS}") or pytest.fail("a live item is not there")
            for row in rows
        ]

    def selection(self, history: History) -> Selection:
        random = self.random
        hidden = np.unique([item.item_index for item in history])
        which = random.integers(0, 8)
        allowed = self.filters[which] if which < 5 else self.allowed(0.2) if which < 6 else None
        recalled = None
        if random.random() < 0.5:
            rows_J = np.flatnonzero(random.random(ITEMS + LIVE) < 0.3)
            recalled = Recalled(rows_J, random.random(len(rows_J)).astype(np.float32))
        return Selection(hidden if random.random() < 0.8 else hidden[:0], allowed, recalled)

    def batch(self, size: int) -> tuple[list[History], list[int], list[Selection]]:
        histories = [self.history() for _ in range(size)]
        k = self.random.integers(1, ITEMS + LIVE + 5, size).tolist()
        return histories, k, [self.selection(each) for each in histories]


@pytest.mark.parametrize("kind", ["exact", "compressed"])
@pytest.mark.parametrize("remembers", [True, False])
def test_the_same_answers_as_the_engine_itself(
    tiny_bundles: TinyBundles, monkeypatch: pytest.MonkeyPatch, kind: str, remembers: bool
) -> None:
    """To 500 requests; so few sets are kept that some are forgotten, and told again."""
    monkeypatch.setattr(sets, "MOST", 3)
    monkeypatch.setattr(sets, "_SMALL", 10)
    folder = tiny_bundles.copy(indexed=kind == "compressed", remembers=remembers)
    bundle = bundles.read(folder)
    settings = Settings(bundle=folder, provider="cpu")
    shared = SharedEngine(partial(made_by, settings), settings.max_batch)
    written = Written(bundle)
    with beside(written) as drawn, serving(shared) as path:
        live: CurrentLive = lambda: written.items.live  # noqa: E731
        own, other = make_engine(bundle, settings, live), RemoteEngine(path, bundle, 1, live)
        assert (own.provider, own.retriever) == (other.provider, other.retriever)
        assert own.retriever == kind
        asked = 0
        while asked < 500:
            batch = drawn.batch(int(drawn.random.integers(1, 33)))
            expected, found = own.candidates(*batch).found, other.candidates(*batch).found
            np.testing.assert_array_equal(found.items_BK, expected.items_BK)
            np.testing.assert_allclose(found.scores_BK, expected.scores_BK, rtol=1e-5, atol=1e-5)
            asked += len(batch[0])
            if asked > 250:
                written.delete("item-20")
        assert (found.items_BK >= ITEMS).any()
        assert not other.away


def test_one_that_lies_on_a_device_answers_workers_too(tiny_bundles: TinyBundles) -> None:
    """A CPU stands in for the GPU: what is gone, filtered, recalled and alive there and here."""
    torch_engine = pytest.importorskip("service.engine.torch_engine")
    bundle = bundles.read(tiny_bundles.copy(remembers=True))
    settings = Settings(bundle=bundle.directory, provider="cpu")
    shared = SharedEngine(
        lambda bundle, live: torch_engine.TorchEngine(bundle, "cpu", live), settings.max_batch
    )
    written = Written(bundle)
    with beside(written) as drawn, serving(shared) as path:
        live: CurrentLive = lambda: written.items.live  # noqa: E731
        own, other = make_engine(bundle, settings, live), RemoteEngine(path, bundle, 1, live)
        assert other.provider == "torch-cpu"
        for turn in range(8):
            batch = drawn.batch(20)
            expected, found = own.candidates(*batch).found, other.candidates(*batch).found
            np.testing.assert_allclose(found.scores_BK, expected.scores_BK, rtol=1e-3, atol=1e-4)
            assert (found.items_BK == expected.items_BK).mean() > 0.99  # but for ties
            if turn == 4:
                written.delete("item-20")


def test_questions_of_several_workers_are_one_batch(tiny: Bundle) -> None:
    fake = Fake()
    with serving(SharedEngine(fake, max_batch=4)) as path:
        engines = [remote(path, tiny) for _ in range(8)]
        fake.scorer.gate.clear()
        found: dict[int, Answered] = {}

        def one(n: int) -> None:
            found[n] = ask(engines[n], 20 + n, 30 + n)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
        threads[0].start()
        assert eventually(lambda: bool(engines[0].link._asking.locked()))
        for thread in threads[1:]:
            thread.start()
        assert eventually(lambda: all(engine.link._asking.locked() for engine in engines))
        fake.scorer.gate.set()
        for thread in threads:
            thread.join()
    assert sum(fake.scorer.batches) == 16
    assert max(fake.scorer.batches) == 4  # two questions; and no more
    for n in range(8):
        assert found[n].found.items_BK.tolist() == [[20 + n, 21 + n], [30 + n, 31 + n]]


def test_workers_that_know_other_rows_to_be_gone_are_not_answered_together(tiny: Bundle) -> None:
    """One of them has heard that an item was deleted, the others have not yet."""
    scorer, gone = FakeScorer(), dict[int, int]()

    class Noting(HostEngine):
        live: CurrentLive

        def candidates(self, histories: Sequence[History], *asked: Any) -> Answered:
            count = int(self.live().gone_N.sum())
            gone.update({history[-1].item_index: count for history in histories})
            return super().candidates(histories, *asked)

    def noting(bundle: Bundle, live: CurrentLive) -> Engine:
        engine = Noting(scorer, FakeRetriever())
        engine.live = live
        return engine

    knows_nothing = nothing_lives(*tiny.item_vectors_ND.shape)
    knows = knows_nothing()._replace(gone_N=np.arange(ITEMS) == 7)
    with serving(SharedEngine(noting, max_batch=32)) as path:
        each = [knows_nothing, knows_nothing, lambda: knows, knows_nothing]
        engines = [RemoteEngine(path, tiny, 1, live) for live in each]
        scorer.gate.clear()
        threads = [
            threading.Thread(target=ask, args=(engine, 20 + n)) for n, engine in enumerate(engines)
        ]
        for engine, thread in zip(engines, threads, strict=True):
            thread.start()
            assert eventually(engine.link._asking.locked)
        scorer.gate.set()
        for thread in threads:
            thread.join()
    assert gone == {20: 0, 21: 0, 22: 1, 23: 0}


@pytest.mark.parametrize(("row", "error"), [(POISON, RuntimeError), (NAN, ArithmeticError)])
def test_a_question_that_fails_fails_alone(tiny: Bundle, row: int, error: type[Exception]) -> None:
    fake = Fake()
    with serving(SharedEngine(fake, max_batch=32)) as path:
        good, bad = remote(path, tiny), remote(path, tiny)
        fake.scorer.gate.clear()
        raised: list[Exception] = []

        def fail() -> None:
            try:
                ask(bad, row)
            except (RuntimeError, ArithmeticError) as fault:
                raised.append(fault)

        first = threading.Thread(target=ask, args=(remote(path, tiny), 1))
        second = threading.Thread(target=fail)
        third = threading.Thread(target=ask, args=(good, 5))
        for thread in (first, second, third):
            thread.start()
        fake.scorer.gate.set()
        for thread in (first, second, third):
            thread.join()
        assert [type(each) for each in raised] == [error]
        assert ask(bad, 3).found.items_BK.tolist() == [[3, 4]]
        assert not bad.away


def test_a_bundle_is_let_go_with_its_last_connection(tiny: Bundle) -> None:
    shared = SharedEngine(Fake(), max_batch=32)
    with serving(shared) as path:
        engines = [remote(path, tiny) for _ in range(2)]
        (loading,) = shared.loading.values()
        held = weakref.ref(loading.result())
        del loading
        gc.disable()  # nothing of it may wait for a collection
        try:
            engines.pop()
            assert eventually(lambda: len(shared.connections) == 1)
            assert held() is not None
            engines.pop()
            assert eventually(lambda: held() is None)
        finally:
            gc.enable()
        assert not shared.connections
        assert not shared.loading


def test_a_bundle_that_nobody_waits_for_any_more_is_not_loaded_twice_at_once(tiny: Bundle) -> None:
    """Two would take twice the memory. When it is loaded and still not wanted, it is let go."""
    fake, loads, goes_on = Fake(), 0, threading.Event()

    def slow(bundle: Bundle, live: CurrentLive) -> Engine:
        nonlocal loads
        loads += 1
        assert goes_on.wait(30)
        return fake(bundle, live)

    shared = SharedEngine(slow, max_batch=32)
    with serving(shared) as path:
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
                line.sendall(Frame({"open": str(tiny.directory)}).packed())
                assert eventually(lambda: any(each.opening for each in shared.connections))
                assert eventually(lambda: loads > 0)
            assert eventually(lambda: not shared.connections)
        goes_on.set()
        assert eventually(lambda: not shared.loading)
        assert loads == 1
        assert ask(remote(path, tiny), 5).found.items_BK.tolist() == [[5, 6]]
        assert loads == 2


def test_an_engine_that_is_only_half_made_is_let_go(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise RuntimeError("no memory")

    shared = SharedEngine(Fake(), max_batch=32)
    with serving(shared) as path:
        monkeypatch.setattr(remote_engine, "Beside", fails)
        with pytest.raises(RuntimeError, match="no memory"):
            remote(path, tiny)
        assert eventually(lambda: not shared.connections)


def test_what_is_too_large_to_be_sent_is_refused_and_the_connection_stays(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each filter crosses alone; what was to be told of it with others is not taken for known."""
    monkeypatch.setattr(sets, "_SMALL", 0)
    rows_N = np.arange(ITEMS)
    both = [Selection(rows_N[:0], Allowed(RowSet.of(rows_N % 2 == n))) for n in range(2)]
    with serving(SharedEngine(Fake(), max_batch=32)) as path:
        engine = remote(path, tiny)
        monkeypatch.setattr(wire, "MOST_BYTES", 31)  # a question of both is 32
        with pytest.raises(FrameError, match="too large"):
            engine.candidates([history(1), history(2)], [2, 2], both)
        assert not engine.away
        for row, selection in enumerate(both):
            found = engine.candidates([history(row)], [2], [selection]).found
            assert found.items_BK.tolist() == [[row, row + 1]]
        assert not engine.away


def test_what_cannot_be_loaded_is_said(tiny_bundles: TinyBundles, tiny: Bundle) -> None:
    folder = tiny_bundles.copy()
    bundle = bundles.read(folder)
    (folder / "manifest.json").write_text("{}")

    def fails(bundle: Bundle, live: CurrentLive) -> Engine:
        raise ProviderError("the GPU is too small")

    with serving(SharedEngine(fails, max_batch=32)) as path:
        with pytest.raises(ProviderError, match="manifest"):
            remote(path, bundle)
        with pytest.raises(ProviderError, match="the GPU is too small"):
            remote(path, tiny)
    with pytest.raises(ProviderError, match="does not answer"):
        remote(path, tiny)


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Frame({"sets": []}).packed()],
    ids=["noise", "out of turn"],
)
def test_what_is_no_question_ends_its_connection_alone(tiny: Bundle, sent: bytes) -> None:
    with serving(SharedEngine(Fake(), max_batch=32)) as path:
        engine = remote(path, tiny)
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(path))
            line.sendall(sent)
            assert line.recv(1) == b""
        assert ask(engine, 5).found.items_BK.tolist() == [[5, 6]]


def test_rows_that_the_bundle_has_not_end_the_connection(tiny: Bundle) -> None:
    """And another is made of itself."""
    with serving(SharedEngine(Fake(), max_batch=32)) as path:
        engine = remote(path, tiny)
        with pytest.raises(EngineAwayError):
            engine.candidates([history(1)], [2], [Selection(np.array([-5]))])
        assert eventually(lambda: not engine.away)
        assert ask(engine, 5).found.items_BK.tolist() == [[5, 6]]


def test_it_goes_away_and_comes_back(tiny: Bundle) -> None:
    with listening() as (listener, path):
        running = Running(SharedEngine(Fake(), max_batch=32), listener)
        engine = remote(path, tiny)
        batcher = Batcher(engine, Metrics(), max_batch=32)
        assert not batcher.away
        running.end()
        assert eventually(lambda: batcher.away)  # though nobody asked it anything
        with pytest.raises(EngineAwayError):
            ask(engine, 5)
        running = Running(SharedEngine(Fake(), max_batch=32), listener)
        assert eventually(lambda: not batcher.away)
        assert ask(engine, 5).found.items_BK.tolist() == [[5, 6]]
        running.end()


def test_who_asks_while_it_ends_is_told(tiny: Bundle) -> None:
    class Ends(FakeScorer):
        def encode(self, histories: Sequence[History]) -> FloatArray:
            for connection in list(shared.connections):
                connection.transport.abort()
            raise RuntimeError("too late")

    fake = Fake()
    fake.scorer = Ends()
    shared = SharedEngine(fake, max_batch=32)
    with serving(shared) as path:
        engine = remote(path, tiny)
        with pytest.raises(EngineAwayError):
            ask(engine, 5)
