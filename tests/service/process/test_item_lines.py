"""PUT /items over a socket: answers come while lines do, whoever is slow, on either side."""

import asyncio
import json
from pathlib import Path

from models.contract.bundle import Bundle
from tests.service.process.serving import Client, serving

HEAD = (
    b"PUT /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def line(number: int) -> bytes:
    body = {"item_id": f"new-{number}", "text": {"like": "item-1"}}
    return json.dumps(body).encode() + b"\n"


async def head(client: Client) -> bytes:
    async with asyncio.timeout(10):
        return await client.reader.readuntil(b"\r\n\r\n")


async def part(client: Client) -> bytes:
    """A chunk of the answer; the last one is empty."""
    async with asyncio.timeout(30):
        size = int(await client.reader.readline(), 16)
        return (await client.reader.readexactly(size + 2))[:-2]


def test_a_line_is_answered_before_the_next_is_sent_however_long_that_takes(
    tiny: Bundle, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with serving(tiny, live=tmp_path, read_timeout=10) as served:
            client = await served.connect()
            await client.send(HEAD)
            for number in range(4):
                await client.send(chunk(line(number)))
                if number == 0:
                    assert (await head(client)).startswith(b"HTTP/1.1 200")
                told = json.loads(await part(client))
                assert (told["line"], told["status"]) == (number + 1, 200)
                await served.pass_time(8)
            await client.send(END)
            assert await part(client) == b""

    asyncio.run(scenario())


def test_whoever_sends_nothing_for_long_is_cut_off(tiny: Bundle, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tiny, live=tmp_path, read_timeout=10) as served:
            client = await served.connect()
            await client.send(HEAD, chunk(line(0)))
            await head(client)
            await part(client)
            await served.pass_time(15)
            assert await client.ended()

    asyncio.run(scenario())


def test_whoever_reads_nothing_before_all_is_sent_gets_every_answer(
    tiny: Bundle, tmp_path: Path
) -> None:
    """More answers than the socket's buffers hold."""
    lines = 20_000

    async def scenario() -> None:
        async with serving(tiny, live=tmp_path) as served:
            client = await served.connect()
            await client.send(HEAD)
            for first in range(0, lines, 500):
                await client.send(chunk(b"".join(map(line, range(first, first + 500)))))
            await client.send(END)
            await head(client)
            answers = b""
            while content := await part(client):
                answers += content
        assert answers.count(b'"status":200') == answers.count(b"\n") == lines

    asyncio.run(scenario())
