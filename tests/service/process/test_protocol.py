"""What happens to bytes before there is a request."""

import asyncio
import contextlib

import pytest
from starlette.types import Receive, Scope, Send

from models.contract.bundle import Bundle
from tests.service.fakes import FakeScorer
from tests.service.process.serving import PROBLEM, Answer, get, post, serving

HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def is_problem(answer: Answer, status: int) -> bool:
    return (
        answer.status == status
        and answer.headers["content-type"] == PROBLEM
        and answer.json()["status"] == status
    )


@pytest.mark.parametrize(
    "start",
    [b"", b"GET /", HEAD + b"X: ", HEAD, CHUNKED + b"1;", CHUNKED + b"0\r\nX: "],
    ids=["empty lines", "url", "one header", "many headers", "chunk", "trailer"],
)
def test_what_never_ends_is_refused_with_431(tiny: Bundle, start: bytes) -> None:
    piece = {b"": b"\r\n", HEAD: b"A: b\r\n"}.get(start, b"a") * 1000

    async def scenario() -> None:
        async with serving(tiny, max_head_bytes=4096) as served:
            client = await served.connect()
            await client.send(start)
            with contextlib.suppress(ConnectionError):
                for _ in range(10):
                    await client.send(piece)
                    await asyncio.sleep(0.01)
            answer = await client.answer()
            assert is_problem(answer, 431)
            assert answer.headers["connection"] == "close"
            assert await client.ended()

    asyncio.run(scenario())


def test_a_head_may_be_as_long_as_the_limit_and_a_body_longer(tiny: Bundle) -> None:
    async def scenario() -> None:
        async with serving(tiny, max_head_bytes=4096) as served:
            client = await served.connect()
            long = HEAD + b"X: " + b"a" * 3900 + b"\r\n\r\n"
            assert (await client.ask(long)).status == 200
            assert (await client.ask(*(long[n : n + 1] for n in range(len(long))))).status == 200
            head, _, body = post().partition(b"\r\n\r\n")
            head = head.replace(str(len(body)).encode(), str(len(body) + 10_000).encode())
            padded = head + b"\r\n\r\n" + body + b" " * 10_000
            assert (await client.ask(padded)).status == 200
            assert (await client.ask(padded[:50], padded[50:])).status == 200
            too_long = HEAD + b"X: " + b"a" * 4100 + b"\r\n\r\n"
            assert is_problem(await client.ask(too_long), 431)

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [20, -3], ids=["head", "body"])
def test_a_request_that_is_not_whole_in_time_is_refused_with_408(tiny: Bundle, sent: int) -> None:
    async def scenario() -> None:
        async with serving(tiny, read_timeout=30) as served:
            client = await served.connect()
            await client.send(post()[:sent])
            await asyncio.sleep(0.05)
            await served.pass_time(29)
            await client.send(post()[sent : sent + 1])  # a byte now and then is no progress
            await asyncio.sleep(0.05)
            await served.pass_time(2)
            assert is_problem(await client.answer(), 408)
            assert await client.ended()

    asyncio.run(scenario())


@pytest.mark.parametrize("asked", [False, True])
def test_a_silent_connection_is_closed_after_keep_alive_and_not_before(
    tiny: Bundle, asked: bool
) -> None:
    async def scenario() -> None:
        async with serving(tiny, keep_alive=75) as served:
            client = await served.connect()
            if asked:
                assert (await client.ask(post())).status == 200
            await served.pass_time(70)
            await asyncio.sleep(1.1)  # a sweep
            assert (await client.ask(post())).status == 200
            await served.pass_time(77)
            assert await client.ended()

    asyncio.run(scenario())


def test_an_answer_that_takes_long_is_no_silence(tiny: Bundle) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer) as served:
            client = await served.connect()
            scorer.gate.clear()
            await client.send(post())
            await asyncio.sleep(0.05)
            await served.pass_time(1000)
            await asyncio.sleep(1.1)  # a sweep
            scorer.gate.set()
            assert (await client.answer()).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_offer_of_another_protocol_is_ignored_and_the_body_is_not_lost(
    tiny: Bundle, size: int
) -> None:
    """What `curl --http2` sends."""
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"

    async def scenario() -> None:
        async with serving(tiny) as served:
            client = await served.connect()
            for item in ("item-1", "item-2"):
                sent = post(item, offer)
                pieces = [sent[n : n + size] for n in range(0, len(sent), size)]
                answer = await client.ask(*pieces)
                assert answer.status == 200
                assert answer.json()["unknown_items"] == []
            both = await client.ask(post("item-1", offer) + post("item-2"))
            assert both.status == (await client.answer()).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [b"HELLO\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_what_is_no_request_is_a_problem_too(tiny: Bundle, sent: bytes) -> None:
    async def scenario() -> None:
        async with serving(tiny) as served:
            client = await served.connect()
            assert is_problem(await client.ask(sent), 400)
            assert await client.ended()

    asyncio.run(scenario())


def test_what_follows_a_request_and_is_none_does_not_cost_its_answer(tiny: Bundle) -> None:
    async def scenario() -> None:
        async with serving(tiny) as served:
            client = await served.connect()
            assert (await client.ask(post() + b"HELLO\r\n\r\n")).status == 200
            assert await client.ended()

    asyncio.run(scenario())


def test_connections_are_bounded(tiny: Bundle) -> None:
    async def scenario() -> None:
        async with serving(tiny, max_connections=2) as served:
            first, second = await served.connect(), await served.connect()
            for client in (first, second):
                assert (await client.ask(post())).status == 200
            third = await served.connect()
            await third.send(post())  # until then it is nobody's
            refused = await third.answer()
            assert is_problem(refused, 503)
            assert refused.headers["retry-after"]
            assert await third.ended()
            for client in (first, second):
                assert (await client.ask(post())).status == 200
            third.writer.close()
            first.writer.close()
            await asyncio.sleep(0.1)
            assert (await (await served.connect()).ask(post())).status == 200

    asyncio.run(scenario())


def test_the_application_can_see_that_a_client_has_left(tiny: Bundle) -> None:
    async def scenario() -> None:
        async with serving(tiny) as served:
            arrived = asyncio.Event()
            scopes: list[Scope] = []

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                scopes.append(scope)
                arrived.set()
                while not scope["bbqrec.gone"]():
                    await asyncio.sleep(0.01)

            served.server.config.loaded_app = app
            client = await served.connect()
            await client.send(post())
            await arrived.wait()
            assert not scopes[0]["bbqrec.gone"]()
            client.writer.close()
            async with asyncio.timeout(5):
                while not scopes[0]["bbqrec.gone"]():
                    await asyncio.sleep(0.01)
            assert served.server.gate.admission.in_flight == 0

    asyncio.run(scenario())


def test_refusals_are_counted_by_reason(tiny: Bundle) -> None:
    async def scenario() -> None:
        async with serving(tiny) as served:
            await (await served.connect()).ask(b"HELLO\r\n\r\n")
            text = (await (await served.connect()).ask(get("/metrics"))).body.decode()
            assert 'bbqrec_refused_total{reason="malformed"} 1.0' in text
            assert 'bbqrec_refused_total{reason="overload"} 0.0' in text
            assert 'bbqrec_requests_total{route="other",status="400"} 1.0' in text

    asyncio.run(scenario())
