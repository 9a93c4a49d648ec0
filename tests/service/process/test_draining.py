"""Before there is a model, and when the process is on its way out."""

import asyncio
import threading
from pathlib import Path

import pytest

from models.contract.bundle import Bundle, BundleError
from service.generation.generation import Generation
from service.metrics import Metrics
from service.settings import Settings
from tests.service.fakes import FakeScorer, loader
from tests.service.process.serving import PROBLEM, get, post, serving


def test_who_comes_before_the_model_is_told_to_come_again(tiny: Bundle) -> None:
    loaded = threading.Event()

    def slow(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
        loaded.wait(10)
        return loader(tiny, FakeScorer())(directory, settings, metrics)

    async def scenario() -> None:
        async with serving(tiny, load=slow) as served:
            client = await served.connect()
            assert (await client.ask(get("/livez"))).status == 200
            for request in (post(), get("/readyz"), get("/model")):
                early = await client.ask(request)
                assert early.status == 503
                assert early.headers["content-type"] == PROBLEM
                assert early.headers["retry-after"]
            loaded.set()
            while not served.server.gate.slot.ready:
                await asyncio.sleep(0.01)
            assert (await client.ask(post())).status == 200

    asyncio.run(scenario())


def test_a_model_that_cannot_be_loaded_ends_the_process(tiny: Bundle) -> None:
    def broken(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
        raise BundleError("a byte has flipped")

    async def scenario() -> None:
        async with serving(tiny, load=broken) as served:
            async with asyncio.timeout(5):
                while not served.server.acceptor.listener.fileno() < 0:
                    await asyncio.sleep(0.01)
            assert "flipped" in str(served.server.state.fault)

    asyncio.run(scenario())


def test_each_connection_is_told_which_answer_is_its_last(tiny: Bundle) -> None:
    """A client that was told sends nothing more; one that was not would lose its next request."""

    async def scenario() -> None:
        async with serving(tiny, drain=0.5) as served:
            client = await served.connect()
            assert "connection" not in (await client.ask(post())).headers
            served.server.should_exit = True
            while not served.server.gate.draining:
                await asyncio.sleep(0.01)
            assert (await client.ask(get("/readyz"))).status == 503
            assert await client.ended()
            answer = await (await served.connect()).ask(post())
            assert answer.status == 200
            assert answer.headers["connection"] == "close"

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [0, 30, 200])
def test_what_was_begun_before_the_end_is_answered(tiny: Bundle, sent: int) -> None:
    """A connection that waited to be taken, with none, some or all of its request on its way."""

    async def scenario() -> None:
        async with serving(tiny, drain=0.2) as served:
            served.server.acceptor.loop.remove_reader(served.server.acceptor.listener)
            served.server.should_exit = True
            while not served.server.gate.draining:
                await asyncio.sleep(0.001)
            clients = [await served.connect() for _ in range(5)]
            for client in clients:
                await client.send(post()[:sent])
            while served.server.acceptor.listener.fileno() >= 0:
                await asyncio.sleep(0.005)
            for client in clients:
                assert (await client.ask(post()[sent:])).status == 200
            with pytest.raises(OSError, match="Connect"):
                await served.connect()

    asyncio.run(scenario())
