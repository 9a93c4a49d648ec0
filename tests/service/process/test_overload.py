"""Who would wait too long is told so at once, and nobody else notices."""

import asyncio
import json
import socket

import pytest

from models.contract.bundle import Bundle
from tests.service.fakes import FakeScorer
from tests.service.process.serving import PROBLEM, Answer, Client, get, post, post_to, serving

ALWAYS = 4  # four times max_batch


async def full_house(connect: "list[Client]", scorer: FakeScorer) -> None:
    """As many requests as are always let in wait for their answers."""
    scorer.gate.clear()
    for client in connect:
        await client.send(post())
    await asyncio.sleep(0.05)


def is_refusal(answer: Answer) -> bool:
    return (
        answer.status == 503
        and answer.headers["content-type"] == PROBLEM
        and answer.headers["retry-after"] == "1"
        and "overloaded" in json.loads(answer.body)["detail"]
    )


def test_one_too_many_is_refused_and_keeps_its_connection(tiny: Bundle) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer, max_batch=1) as served:
            waiting = [await served.connect() for _ in range(ALWAYS)]
            await full_house(waiting, scorer)
            late = await served.connect()
            head, _, body = post().partition(b"\r\n\r\n")
            assert is_refusal(await late.ask(head + b"\r\n\r\n"))  # its body has not even come
            await late.send(body)
            assert is_refusal(await late.ask(post()))
            for path in ("/livez", "/readyz", "/model", "/metrics"):
                assert (await late.ask(get(path))).status == 200
            scorer.gate.set()
            assert [(await client.answer()).status for client in waiting] == [200] * ALWAYS
            assert (await late.ask(post())).status == 200
            text = (await late.ask(get("/metrics"))).body.decode()
            assert 'bbqrec_refused_total{reason="overload"} 2.0' in text
            assert 'bbqrec_requests_total{route="/recommend",status="503"} 2.0' in text
            assert served.server.gate.admission.in_flight == 0

    asyncio.run(scenario())


def test_a_refused_client_that_does_not_keep_its_connection_is_let_go(tiny: Bundle) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer, max_batch=1) as served:
            await full_house([await served.connect() for _ in range(ALWAYS)], scorer)
            for header in ("Connection: close\r\n", "Expect: 100-continue\r\n"):
                late = await served.connect()
                refused = await late.ask(post(headers=header))
                assert is_refusal(refused)
                assert refused.headers["connection"] == "close"
                assert await late.ended()
            scorer.gate.set()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "header", ["Content-Length: 35\r\n", "Content-Length : 35\r\n"], ids=["twice", "a blank"]
)
def test_what_no_parser_would_take_is_no_request_in_a_full_house_either(
    tiny: Bundle, header: str
) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer, max_batch=1) as served:
            await full_house([await served.connect() for _ in range(ALWAYS)], scorer)
            late = await served.connect()
            assert (await late.ask(get("/livez"))).status == 200
            assert (await late.ask(post(headers=header))).status == 400
            scorer.gate.set()

    asyncio.run(scenario())


def test_of_a_crowd_at_the_door_no_more_come_in_than_are_answered(tiny: Bundle) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer, max_batch=1) as served:
            made: list[bytes] = []
            acceptor = served.server.acceptor
            connection = acceptor.factory

            def make(first: bytes) -> asyncio.Protocol:
                made.append(first)
                return connection(first)

            acceptor.factory = make
            scorer.gate.clear()
            crowd = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
            for each in crowd:  # the event loop does not turn meanwhile
                each.sendall(post(headers="Connection: close\r\n"))
            await asyncio.sleep(0.05)
            assert made == [post(headers="Connection: close\r\n")] * ALWAYS
            scorer.gate.set()
            for each in crowd:
                each.setblocking(False)
            loop = asyncio.get_running_loop()
            answers = [await loop.sock_recv(each, 2**16) for each in crowd]
            statuses = [answer.split()[1] for answer in answers]
            assert statuses == [b"200"] * ALWAYS + [b"503"] * (20 - ALWAYS)
            for each in crowd:
                each.close()

    asyncio.run(scenario())


def test_a_client_that_leaves_makes_room(tiny: Bundle) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer, max_batch=1) as served:
            waiting = [await served.connect() for _ in range(ALWAYS)]
            await full_house(waiting, scorer)
            for client in waiting:
                client.writer.close()
            await asyncio.sleep(0.05)
            late = await served.connect()
            await late.send(post())
            await asyncio.sleep(0.05)
            scorer.gate.set()
            assert (await late.answer()).status == 200

    asyncio.run(scenario())


def test_a_request_behind_another_on_its_connection_is_answered_in_turn(tiny: Bundle) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer, max_batch=1) as served:
            waiting = [await served.connect() for _ in range(ALWAYS)]
            await full_house(waiting, scorer)
            await waiting[0].send(post("item-2"))
            await asyncio.sleep(0.05)
            scorer.gate.set()
            first, second = await waiting[0].answer(), await waiting[0].answer()
            assert first.status == second.status == 200
            assert [a.json()["items"][0]["item_id"] for a in (first, second)] == [
                "item-2",
                "item-3",
            ]

    asyncio.run(scenario())


def test_requests_that_come_together_count_one_by_one(tiny: Bundle) -> None:
    async def scenario() -> None:
        scorer = FakeScorer()
        async with serving(tiny, scorer, max_batch=1) as served:
            scorer.gate.clear()
            several = {"requests": [{"history": ["item-2"]}] * ALWAYS}
            batch, late, later = [await served.connect() for _ in range(3)]
            await batch.send(post_to("/recommend/batch", several))
            await asyncio.sleep(0.05)
            assert served.server.gate.admission.in_flight == ALWAYS
            assert is_refusal(await late.ask(post()))
            assert is_refusal(await later.ask(post_to("/recommend/batch", several)))
            scorer.gate.set()
            assert (await batch.answer()).status == 200
            assert served.server.gate.admission.in_flight == 0

    asyncio.run(scenario())
