"""How long events wait to be in files."""

import asyncio
from pathlib import Path

import pytest

from service.events.feed import Feed
from service.events.storekeeper import Storekeeper
from service.events.storing import Progress, Storing
from service.events.users import Users
from service.metrics import Metrics


class FakeFeed(Feed):
    """At the position that it is told."""

    at = 0

    @property
    def position(self) -> int:
        return self.at


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("service.events.storekeeper._MEASURE", 0.01)
    monkeypatch.setattr(Storekeeper, "_wanted", lambda self: False)
    return tmp_path


def test_what_waits_to_be_stored_is_measured_until_it_is(folder: Path) -> None:
    metrics = Metrics()
    feed = FakeFeed(Users(frozenset({"view"}), 10, 10), metrics)
    keeper = Storekeeper(Storing(folder=folder), feed, metrics)

    async def waits(*, store: int | None = None, position: int | None = None) -> float:
        if store is not None:
            Progress.file(folder).write_text(Progress(position=store).model_dump_json())
        feed.at = feed.at if position is None else position
        await asyncio.sleep(0.1)
        return metrics.registry.get_sample_value("bbqrec_events_unstored_seconds") or 0.0

    async def scenario() -> None:
        keeper.start()
        assert await waits() == 0
        first = await waits(position=7)
        assert 0 < first < await waits(store=6)
        assert await waits(store=7) == 0
        Progress.file(folder).write_text("{")  # as after a disk that was full
        assert await waits(position=8) > 0
        await keeper.close()

    asyncio.run(scenario())


def test_where_no_process_can_be_started_it_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.events.storekeeper._LOOK", 0.01)
    monkeypatch.setattr(Storekeeper, "_wanted", lambda self: True)
    tries = []

    async def fail(*command: str, **options: object) -> None:
        tries.append(command)
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fail)
    metrics = Metrics()
    feed = FakeFeed(Users(frozenset({"view"}), 10, 10), metrics)

    async def scenario() -> None:
        keeper = Storekeeper(Storing(folder=folder), feed, metrics)
        await keeper.close()
        keeper.start()
        await asyncio.sleep(0.2)
        await keeper.close()

    asyncio.run(scenario())
    assert len(tries) > 1
    assert "Cannot allocate memory" in caplog.text
