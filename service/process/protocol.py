"""What happens to bytes before there is a request: uvicorn's HTTP protocol, with bounds.

uvicorn takes a head of any length, waits for a slow one for ever, and drops the body of a request
that offers another protocol. Here every connection is bounded in size and time, and a request that
would wait too long is answered 503 as soon as its head is known: no task, no validation, and no
parser either where it came whole.

Three things the application may rely on: a request that it gets began within ``read_timeout``;
``scope["bbqrec.gone"]()`` is true once its client has left; and what is counted as in flight ends
with its answer or with its client.
"""

import asyncio
from typing import Any

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.http.caller import ADMISSION, GONE
from service.process.gate import BATCH, STREAMED, WORK, Gate
from service.process.refusals import ANSWERS, Refusal

_WORK = {WORK.encode(): WORK, BATCH.encode(): BATCH}
_LINGER_TICKS, _LINGER_BYTES = 2, 2**24  # what is read and dropped after a last answer


class _EndedError(Exception):
    """Raised through the parser, which has to stop."""


class Connection(HttpToolsProtocol):
    """One connection: silent, or sending a request, or waiting for its answer, or ended."""

    def __init__(
        self,
        gate: Gate,
        first: bytes,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.gate = gate
        self.first = first  # what was read of it already
        self.since = gate.now  # when it last became what it is
        self.unseen = 0  # bytes that the parser took and gave nothing for
        self.receiving = False  # a request has begun and is not whole
        self.running: RequestResponseCycle | None = None  # the request being answered
        self.admitted = False  # it is counted
        self.streams = False  # it is read while it comes: each part of it has its time
        self.skipping = False  # what comes is the body of a request that was refused
        self.ended = False  # what comes is dropped

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, unless there are too many."""
        super().connection_made(transport)
        self.gate.coming -= 1
        if len(self.connections) > self.gate.max_connections:
            self._end(Refusal.CONNECTIONS)
        if self.first:
            self.data_received(self.first)
            self.first = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for an answer any more."""
        super().connection_lost(exc)
        if self.running is not None:
            self.running.disconnected = True
            self.running.message_event.set()
        self._release()
        self.gate.slot.connections -= 1

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the methods below."""
        self.unseen += len(data)
        if self.ended:
            if self.unseen > _LINGER_BYTES:
                self.transport.abort()
            return
        if self.running is None and not (self.receiving or self.gate.draining):
            answer = self.gate.turns_away(data)
            if answer is not None:
                self._answer_at_once(answer)
                return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            if not self.ended:
                self._end(Refusal.MALFORMED)
        else:
            if self.unseen > self.gate.max_head_bytes:
                self._end(Refusal.HEAD)

    def _answer_at_once(self, answer: bytes) -> None:
        """To a request that the parser has not seen."""
        self.unseen, self.since = 0, self.gate.now
        self.transport.write(answer)
        if answer is ANSWERS[Refusal.OVERLOAD].closed:
            self.transport.close()

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        self.receiving, self.since = True, self.gate.now

    def on_headers_complete(self) -> None:
        """Start the application on it, or refuse it."""
        if self.parser.should_upgrade():
            return  # the parser stops here, and `_decline` goes on
        if self.unseen > self.gate.max_head_bytes and self._head() > self.gate.max_head_bytes:
            self._end(Refusal.HEAD)
            raise _EndedError
        self.unseen = 0
        if self.gate.admission.full() and self.running is None and (work := self._work()):
            self._turn_away(work)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of it."""
        self.unseen = 0
        if self.streams:
            self.since = self.gate.now
        if not self.skipping:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.parser.should_upgrade():
            return
        self.unseen, self.receiving, self.since = 0, False, self.gate.now
        if not self.skipping:
            super().on_message_complete()
            return
        self.skipping = False
        if self.gate.draining or not self.parser.should_keep_alive():
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.running = cycle
        cycle.scope[GONE] = self.transport.is_closing  # type: ignore[literal-required]
        if self.gate.draining:
            cycle.keep_alive = False
        self.streams = cycle.scope["path"] == STREAMED
        if cycle.scope["path"] == WORK:
            self.admitted = True
            self.gate.admission.begin()
        elif cycle.scope["path"] == BATCH:
            cycle.scope[ADMISSION] = self.gate.admission  # type: ignore[literal-required]
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on with a request that came meanwhile. uvicorn's own would start a timer each time."""
        self.server_state.total_requests += 1
        self._release()
        if self.transport.is_closing():
            return
        self.since = self.gate.now
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def pause_writing(self) -> None:
        """The client reads slower than it is answered."""
        super().pause_writing()
        self.since = self.gate.now

    def shutdown(self) -> None:
        """Close it, unless a request is on its way or being answered: then after the answer."""
        if self.running is not None:
            self.running.keep_alive = False
        elif not self.receiving:
            self.transport.close()

    def sweep(self) -> None:
        """End it, if it has kept the process waiting for too long."""
        waited = self.gate.now - self.since
        if self.transport.is_closing():
            if waited > self.gate.read_ticks:  # what is left to send is not read
                self.transport.abort()
        elif self.ended:
            if waited > _LINGER_TICKS and self.running is None:
                self.transport.abort()
        elif self.receiving:
            if waited > self.gate.read_ticks:
                self._end(Refusal.SLOW)
        elif self.flow.write_paused:
            if waited > self.gate.read_ticks:
                self.transport.abort()
        elif self.running is None and waited > self.gate.idle_ticks:
            self.transport.close()

    def _work(self) -> str | None:
        path = _WORK.get(self.url.partition(b"?")[0])
        return path if self.parser.get_method() == b"POST" else None

    def _head(self) -> int:
        """Its length, as far as it is known."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _turn_away(self, work: str) -> None:
        """503 at once; the body is skipped, and the connection kept where the client keeps it."""
        self.gate.refuse(Refusal.OVERLOAD, work)
        if self.expect_100_continue:  # whether its body comes is anybody's guess
            self._answer_last(Refusal.OVERLOAD)
            raise _EndedError
        self.skipping = True
        keeps = self.parser.should_keep_alive() and not self.gate.draining
        answer = ANSWERS[Refusal.OVERLOAD]
        self.transport.write(answer.kept if keeps else answer.closed)

    def _decline(self, rest: bytes) -> None:
        """Another protocol was offered. The offer may be ignored; the request may not.

        The parser takes what follows the head for the other protocol's. So it reads the head once
        more, without the offer.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._end(Refusal.MALFORMED)
            return
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.unseen = 0
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _end(self, refusal: Refusal) -> None:
        """Refuse what is being received, and everything after it."""
        self.gate.refuse(refusal)
        if self.running is None:
            self._answer_last(refusal)
        elif self._reads_body():
            answered = self.running.response_started
            self.running.disconnected = True  # the application reads on in vain
            self.running.message_event.set()
            self._release()
            if answered:
                self.transport.close()
            else:
                self._answer_last(refusal)
        else:  # an earlier request is being answered: that goes out, and no more
            self.running.keep_alive = False
            self.pipeline.clear()
            self.ended, self.since = True, self.gate.now

    def _reads_body(self) -> bool:
        """What is being received belongs to the request that is being answered."""
        return self.running is self.cycle and self.cycle.more_body

    def _answer_last(self, refusal: Refusal) -> None:
        """A last answer. Who is cut off while sending never sees it: so what comes is read on."""
        self.ended, self.since, self.unseen = True, self.gate.now, 0
        self.transport.write(ANSWERS[refusal].closed)
        self.transport.write_eof()

    def _release(self) -> None:
        self.running = None
        if self.admitted:
            self.admitted = False
            self.gate.admission.end()
