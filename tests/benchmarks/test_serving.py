"""The serving benchmark's own arithmetic."""

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.serving.encoder import FLOOR, work
from benchmarks.serving.end_to_end import counted
from benchmarks.serving.goals import judged
from benchmarks.serving.load import Generator, Load, request
from benchmarks.serving.report import write
from benchmarks.serving.rows import Row, read, replace
from models.contract.config import CodeSpace, SequenceConfig, Towers
from models.contract.types import BEHAVIOUR
from service.metrics import Metrics

SPACE = CodeSpace(modalities=(BEHAVIOUR,), levels=2, codebook_size=4, vector_size=3)


def config(blocks: int, towers: Towers = (("codes", "id"),)) -> SequenceConfig:
    return SequenceConfig(
        code_space=SPACE, catalogue_size=9, max_history=8, width=4, blocks=blocks, heads=1,
        towers=towers,
    )  # fmt: skip


def test_products_are_those_counted_by_hand() -> None:
    # One block, 3 items: keys and values of all, the rest of the last one; similarities to 3.
    keys_and_values, query_out_and_gate, swiglu = 3 * 2 * 16, 3 * 16, 7 * 16
    attention, similarity = 2 * 3 * 4, 3 * 3
    one = keys_and_values + query_out_and_gate + swiglu + attention + similarity
    assert work(config(1), 3).products == one
    # A block before it computes all rows; 6 pairs of an item with one not after it.
    before, pairs = 3 * 12 * 16 + 2 * 6 * 4, 6 * 3
    assert work(config(2), 3).products == one + before + pairs
    # A behaviour tower weighs each item of the history, once.
    assert work(config(1, (("codes", "id"), ("behaviour",))), 3).products == one + 3 * 4


async def offered(delay: float, rate: float, seconds: float) -> Load:
    """A load on a service that answers one request at a time, each after ``delay`` seconds."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            async with turn:
                await asyncio.sleep(delay)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    turn = asyncio.Lock()
    server = await asyncio.start_server(quiet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await Generator(rate, seconds, [request("{}")]).run(port)
    finally:
        server.close()
        await asyncio.sleep(0.1)  # until the other side's closing has been seen


def test_latency_counts_from_when_a_request_was_due() -> None:
    """A service at twice its capacity: those who come last have waited for all before them."""
    load = asyncio.run(offered(delay=0.02, rate=100, seconds=1))
    assert load.failed == 0
    assert load.answered < 55  # of 100 a second
    assert load.p99 > 500  # a closed loop would see 20 ms


def test_rows_replace_those_of_the_same_part_only(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    first, second = Row("encoder", "a", "1", 2.0, "ms"), Row("retrieval", "b", "1", 3.0, "ms")
    replace("encoder", [first], path)
    replace("retrieval", [second], path)
    replace("encoder", [first._replace(value=4.0, against="b", ratio=2.0)], path)
    assert [(row.what, row.value) for row in read(path)] == [("retrieval", 3.0), ("encoder", 4.0)]
    replace("encoder", [first._replace(size="2", value=5.0)], path)
    assert [row.value for row in read(path)] == [3.0, 4.0, 5.0]  # of another size: both are kept
    assert set(json.loads(path.read_text())[0]) == set(Row._fields)


def test_goals_are_judged_by_the_rows_and_not_at_all_without_them(tmp_path: Path) -> None:
    size = "d=128, 2 blocks, L=50 B=1"
    rows = [Row("encoder", "onnx fp32", size, 1.0, "ms"), Row("encoder", FLOOR, size, 0.25, "ms")]
    goals = judged(rows)
    assert goals[0].measured == pytest.approx(4)
    assert goals[0].met is False
    assert all(goal.met is None for goal in goals[1:])
    rows.append(Row("encoder", "onnx int8", size, 0.5, "ms"))
    assert judged(rows)[0].met
    replace("encoder", rows, tmp_path / "serving.json")
    write(tmp_path / "serving.json")
    text = (tmp_path / "serving.md").read_text()
    assert "| 2 | met |" in text
    assert "| onnx fp32 | floor (arithmetic) | onnx int8 |" in text
    assert (tmp_path / "serving-encoder.png").stat().st_size > 1000


def test_what_a_request_costs_is_read_from_the_service_itself() -> None:
    metrics = Metrics()
    before = counted(metrics.exposition().decode())
    for _ in range(10):
        metrics.queue.observe(0.001)
    metrics.encode.observe(0.003)
    metrics.search.observe(0.002)
    after = counted(metrics.exposition().decode())
    assert after.requests - before.requests == 10
    assert after.engine - before.engine == pytest.approx(0.005)
    assert after.cpu >= before.cpu > 0
