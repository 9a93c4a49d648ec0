"""The engine of several workers, in a process of its own: one model for all of them.

A connection has one bundle open; the engine of a bundle is let go when its last connection closes.
What waits while a batch is computed forms the next one, whoever sent it: all is done in one thread,
and there is no timer.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from models.contract.bundle import FILES, Bundle, read
from models.contract.types import CodeArray, FloatArray, ItemCodes
from service.engine.crossing import Question, failed, frame_back, question_of
from service.engine.engine import Answered, Engine
from service.engine.sets import Receiver
from service.engine.wire import Frame, FrameError, Incoming
from service.retrieval.live import CurrentLive, Live, nothing_lives
from service.retrieval.retriever import Found
from service.retrieval.rows import RowSet

log = logging.getLogger("bbqrec")
Make = Callable[[Bundle, CurrentLive], Engine]
_AT_HAND = 2**16  # items whose codes need not be looked up
_MOST_SAID = 1000  # characters of a fault


class Holding:
    """A bundle and its engine. Nothing of it is in a circle, so that it is let go at once."""

    def __init__(self, bundle: Bundle, make: Make) -> None:
        codes_NS = bundle.semantic_ids.codes_NS
        self.size = len(codes_NS)
        self.known = lru_cache(_AT_HAND)(partial(_known, codes_NS))
        self.interned: WeakValueDictionary[str, RowSet] = WeakValueDictionary()
        self._all_there = nothing_lives(*bundle.item_vectors_ND.shape)()
        self._without: WeakKeyDictionary[RowSet, Live] = WeakKeyDictionary()
        self._live_rows: dict[bytes, int] = {}
        self._now = _Now(self._all_there)
        self.engine = make(bundle, self._now)

    @classmethod
    def load(cls, directory: Path, make: Make) -> "Holding":
        """Of a folder; who has it open has verified what is mapped. Raises what ``read`` does, and
        ``make``.
        """
        return cls(read(directory, FILES.MAPPED), make)

    def row_of(self, codes_S: NDArray[np.uint16], read_D: FloatArray) -> int:
        """Of a live item, by what a model reads of it: each worker counts its own rows."""
        hashed = blake2b(codes_S.tobytes() + read_D.tobytes(), digest_size=16).digest()
        return self._live_rows.setdefault(hashed, self.size + len(self._live_rows))

    def candidates(self, questions: Sequence[Question]) -> Answered:
        """One batch of all, which know the same rows to be gone."""
        self._now.live = self._live(questions[0].gone)
        histories = [history for question in questions for history in question.histories]
        k = [most for question in questions for most in question.k]
        selections = [selection for question in questions for selection in question.selections]
        return self.engine.candidates(histories, k, selections)

    def _live(self, gone: RowSet | None) -> Live:
        """The same for the same rows, for an engine goes by that."""
        if gone is None:
            return self._all_there
        if (live := self._without.get(gone)) is None:
            live = self._without[gone] = self._all_there._replace(gone_N=gone.mask_N)
        return live


class _Now:
    """What an engine asks for what lives: that of the batch which it is given."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def __call__(self) -> Live:
        return self.live


class _Waiting(NamedTuple):
    """A question, and who asked."""

    connection: "Connection"
    holding: Holding
    question: Question

    def goes_with(self, other: "_Waiting") -> bool:
        """Whether one batch may be made of both."""
        return self.holding is other.holding and self.question.gone is other.question.gone


class SharedEngine:
    """Holds bundles, and answers connections."""

    def __init__(self, make: Make, max_batch: int) -> None:
        self.make = make
        self.max_batch = max_batch
        self.connections: set[Connection] = set()
        self.loading: dict[Path, asyncio.Task[Holding]] = {}
        self.waiting: deque[_Waiting] = deque()
        self.due = False  # a batch is to be computed, in a moment

    async def take(self, listener: socket.socket) -> None:
        """Connections, for ever."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            accepted, _ = await loop.sock_accept(listener)
            await loop.connect_accepted_socket(lambda: Connection(self), accepted)

    async def open(self, directory: Path) -> Holding:
        """The one of this folder, loaded once. Raises what ``Holding.load`` does."""
        if (loading := self.loading.get(directory)) is None:
            load = asyncio.to_thread(Holding.load, directory, self.make)
            loading = self.loading[directory] = asyncio.create_task(load)
            loading.add_done_callback(lambda _: self.let_go())
        return await loading

    def serves(self) -> bool:
        """Whether a bundle is there to ask."""
        return any(connection.holding is not None for connection in self.connections)

    def let_go(self) -> None:
        """Of bundles that no connection has open, and of what failed: who asks again tries again.

        What is being loaded stays, though nobody may want it any more: who asks for it meanwhile
        would have it loaded twice at once.
        """
        wanted = {connection.directory for connection in self.connections}
        for directory, loading in [*self.loading.items()]:
            if loading.done() and (directory not in wanted or _failed(loading)):
                del self.loading[directory]

    def ask(self, waiting: _Waiting) -> None:
        """Answer it, with what else has come by then."""
        self.waiting.append(waiting)
        self._be_due()

    def _be_due(self) -> None:
        if not self.due:
            self.due = True
            asyncio.get_running_loop().call_soon(self._compute)

    def _compute(self) -> None:
        self.due = False
        if batch := self._next():
            self._answer(batch)
        if self.waiting:
            self._be_due()

    def _next(self) -> list[_Waiting]:
        """Of the longest waiting, and others that go with it: ``max_batch`` histories at most."""
        batch: list[_Waiting] = []
        rest: deque[_Waiting] = deque()
        room = self.max_batch
        for each in self.waiting:
            if each.connection not in self.connections:
                continue
            if not batch or (each.goes_with(batch[0]) and len(each.question.k) <= room):
                batch.append(each)
                room -= len(each.question.k)
            else:
                rest.append(each)
        self.waiting = rest
        return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Where it fails as a whole, each question fails or succeeds alone."""
        try:
            answered = batch[0].holding.candidates([each.question for each in batch])
        except Exception as error:
            if len(batch) > 1:
                for each in batch:
                    self._answer([each])
                return
            log.warning("a batch failed: %r", error)
            batch[0].connection.send(failed(error))
            return
        first = 0
        for each in batch:
            part = slice(first, first := first + len(each.question.k))
            back = _part(answered, part, max(each.question.k))
            each.connection.send(frame_back(back, vectors=each.question.vectors))


class Connection(asyncio.Protocol):
    """From a worker: first it opens a bundle, then it asks."""

    def __init__(self, shared: SharedEngine) -> None:
        self.shared = shared
        self.incoming = Incoming()
        self.directory: Path | None = None
        self.holding: Holding | None = None
        self.receiver: Receiver | None = None
        self.opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.shared.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """What is no frame, or comes out of turn, ends it."""
        try:
            for frame in self.incoming.feed(data):
                self._take(frame)
        except FrameError as error:
            log.warning("a connection is closed: %s", error)
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The worker has another bundle, or is no more: nothing of it stays."""
        self.shared.connections.discard(self)
        self.holding = self.receiver = None
        self.shared.let_go()

    def send(self, frame: Frame) -> None:
        """Now, or as the worker reads. What no frame holds ends it."""
        try:
            self.transport.write(frame.packed())
        except FrameError as error:
            log.warning("a connection is closed: %s", error)
            self.transport.abort()

    def _take(self, frame: Frame) -> None:
        if "open" in frame.header and self.directory is None:
            self.directory = Path(str(frame.header["open"]))
            self.opening = asyncio.get_running_loop().create_task(self._open(self.directory))
        elif self.holding is not None and self.receiver is not None:
            holding = self.holding
            question = question_of(frame, self.receiver, holding.known, holding.row_of)
            self.shared.ask(_Waiting(self, holding, question))
        else:
            raise FrameError("nothing is open")

    async def _open(self, directory: Path) -> None:
        try:
            holding = await self.shared.open(directory)
        except Exception as error:  # each runtime has its own; the worker says it
            self.send(Frame({"refused": str(error)[:_MOST_SAID] or repr(error)}))
            return
        if self in self.shared.connections:
            self.holding = holding
            self.receiver = Receiver(holding.size, holding.interned)
            engine = holding.engine
            self.send(Frame({"provider": engine.provider, "retriever": engine.retriever}))


def _failed(done: asyncio.Task[Holding]) -> bool:
    return done.cancelled() or done.exception() is not None


def _known(codes_NS: CodeArray, row: int) -> ItemCodes:
    return ItemCodes(row, codes_NS[row])


def _part(answered: Answered, queries: slice, k: int) -> Answered:
    scores_BK, items_BK = answered.found
    found = Found(scores_BK[queries, :k], items_BK[queries, :k])
    return answered._replace(found=found, vectors_BD=answered.vectors_BD[queries])
