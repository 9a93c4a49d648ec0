"""Two services, each a process of its own, and one log: in a real Redis, or in a file."""

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reliability.live_shop import shop
from benchmarks.reliability.program import Program
from models.contract.bundle import Bundle
from tests.service.conftest import RedisServer
from tests.service.program import eventually


class Replica:
    """One running service."""

    def __init__(self, program: Program) -> None:
        self.process = program.process
        self.url = f"http://127.0.0.1:{program.port}"

    def ask(self, method: str, path: str, body: object = None, after: int = 0) -> tuple[int, Any]:
        headers = {"content-type": "application/json", "x-after": str(after)}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return int(response.status), json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def put(self, item_id: str, like: str = "item-3") -> int:
        status, told = self.ask("PUT", f"/items/{item_id}", {"text": {"like": like}})
        assert status == 200, told
        return int(told["position"])


@contextmanager
def replicas(tiny: Bundle, count: int, **settings: str) -> Iterator[list[Replica]]:
    with ExitStack() as stack:
        made = [shop(tiny.directory, **settings) for _ in range(count)]
        yield [Replica(stack.enter_context(program)) for program in made]


@pytest.fixture(params=["redis", "file"])
def shared(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Any:
    """Settings of replicas that have one log."""
    if request.param == "redis":
        return {"log_url": redis_server.url, "redis_url": redis_server.url}
    return {"live": str(tmp_path / "live")}


def test_what_is_written_on_one_is_read_on_the_other(
    tiny: Bundle, tmp_path: Path, shared: dict[str, str]
) -> None:
    with replicas(tiny, 2, **shared) as (first, second):
        for number in range(10):
            one, other = (first, second) if number % 2 else (second, first)
            position = one.put(f"new-{number}")
            assert one.ask("GET", f"/items/new-{number}")[0] == 200
            assert other.ask("GET", f"/items/new-{number}", after=position)[0] == 200
        assert first.ask("DELETE", "/items/new-1")[0] == 200
        assert eventually(lambda: second.ask("GET", "/items/new-1")[0] == 404, 10)
        told = [replica.ask("GET", "/model")[1]["live"] for replica in (first, second)]
        assert told[0] == told[1] == {"items": 9, "gone": 0, "refused": 0, "position": 11}


def test_one_that_was_away_catches_up_and_a_kill_loses_nothing(
    tiny: Bundle, tmp_path: Path, shared: dict[str, str]
) -> None:
    with replicas(tiny, 1, **shared) as (first,):
        first.put("before")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    with replicas(tiny, 1, **shared) as (again,):
        assert again.ask("GET", "/items/before")[0] == 200
        again.put("after")
        with replicas(tiny, 1, **shared) as (late,):
            assert late.ask("GET", "/items/after")[0] == 200


def test_the_log_in_redis_is_away_for_a_while(
    tiny: Bundle, tmp_path: Path, redis_server: RedisServer
) -> None:
    with replicas(tiny, 1, log_url=redis_server.url) as (replica,):
        replica.put("new")
        redis_server.process.send_signal(signal.SIGSTOP)
        status, told = replica.ask("PUT", "/items/other", {"text": {"like": "item-3"}})
        assert (status, "log in Redis" in told["detail"]) == (503, True)
        assert replica.ask("GET", "/items/new")[0] == 200
        assert replica.ask("POST", "/recommend", {"history": ["item-3"]})[0] == 200
        redis_server.process.send_signal(signal.SIGCONT)
        assert eventually(
            lambda: replica.ask("PUT", "/items/last", {"text": {"like": "item-3"}})[0] == 200, 20
        )


def test_what_is_put_on_one_is_recommended_by_the_other_and_what_is_deleted_is_not(
    tiny: Bundle, shared: dict[str, str]
) -> None:
    def ids(replica: Replica, after: int) -> list[str]:
        body = {"history": ["item-3"], "k": 5}
        status, told = replica.ask("POST", "/recommend", body, after)
        assert status == 200, told
        return [item["item_id"] for item in told["items"]]

    with replicas(tiny, 2, **shared) as (first, second):
        best = ids(first, 0)[0]
        position = first.put("new", best)
        assert {best, "new"} <= set(ids(first, 0)) & set(ids(second, position))
        position = first.ask("DELETE", f"/items/{best}")[1]["position"]
        assert best not in [*ids(first, 0), *ids(second, position)]
        history = {"history": ["new"], "k": 5}
        assert second.ask("POST", "/recommend", history)[1]["unknown_items"] == []
        position = second.ask("DELETE", "/items/new")[1]["position"]
        assert "new" not in [*ids(second, 0), *ids(first, position)]
