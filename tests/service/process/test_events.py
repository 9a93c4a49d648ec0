"""Events told to one of two services, each a process of its own; killed, and stored."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from benchmarks.reliability.events import Plan, killed
from models.contract.bundle import Bundle
from tests.service.conftest import RedisServer
from tests.service.kafka import kafka_broker
from tests.service.process.test_replicas import Replica, replicas
from tests.service.program import eventually


def tell(replica: Replica, user: str, *items: int) -> None:
    events = [
        {"id": f"{user}-{item}", "type": "view", "user_id": user, "item_id": f"item-{item}"}
        for item in items
    ]
    status, told = replica.ask("POST", "/events", {"events": events})
    assert (status, told["kept"]) == (200, len(items)), told


def history(replica: Replica, user: str) -> list[str]:
    found: list[str] = replica.ask("GET", f"/users/{user}")[1]["history"]
    return found


def stored(folder: Path) -> list[str]:
    """Read again where a file went while it was read: several become one, or are rewritten."""
    files = [*folder.glob("done/*/*/[!.]*.parquet")]
    try:
        return sorted(id_ for file in files for id_ in pl.read_parquet(file)["id"])
    except FileNotFoundError:
        return stored(folder)


@pytest.fixture
def kafka() -> Iterator[str]:
    with kafka_broker("bbqrec-events") as address:
        yield address


@pytest.mark.parametrize("kept_in", ["file", "redis", "kafka"])
def test_what_one_is_told_both_know_keep_and_store(
    tiny: Bundle, tmp_path: Path, redis_server: RedisServer, kafka: str, kept_in: str
) -> None:
    settings = {"events": str(tmp_path), "live": str(tmp_path / "live"), "store_every": "0.1"}
    settings |= {"redis": {"log_url": redis_server.url}, "kafka": {"kafka": kafka}}.get(kept_in, {})
    with replicas(tiny, 2, **settings) as (one, other):
        tell(one, "ada", 3, 4)
        assert eventually(lambda: history(other, "ada") == ["item-3", "item-4"])
        status, page = other.ask("POST", "/recommend", {"user_id": "ada", "k": 3})
        assert (status, page["fallback"]) == (200, None)
        following = {"user_id": "ada", "k": 3, "after": page["recommendation_id"]}
        answer = one.ask("POST", "/recommend", following)[1]
        assert not {i["item_id"] for i in page["items"]} & {i["item_id"] for i in answer["items"]}
        for each in (one, other):
            each.process.send_signal(signal.SIGKILL)
            each.process.wait()
    with replicas(tiny, 1, **settings) as (again,):
        assert history(again, "ada") == ["item-3", "item-4"]
        tell(again, "bob", 5)
        assert eventually(lambda: stored(tmp_path) == ["ada-3", "ada-4", "bob-5"])
        assert again.ask("DELETE", "/users/ada")[0] == 200
        assert eventually(lambda: stored(tmp_path) == ["bob-5"])
    assert json.loads((tmp_path / ".stored.json").read_bytes())["position"] >= 4


def test_killed_while_events_come_none_is_lost_and_none_there_twice(
    tiny: Bundle, tmp_path: Path
) -> None:
    """The short form of ``benchmarks.reliability.events``."""
    for row in killed(tiny.directory, tmp_path / "events", Plan(events=4000, kills=2)):
        assert row.tried > 100
        assert row.kept == row.tried, row
