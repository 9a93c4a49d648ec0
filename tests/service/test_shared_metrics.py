"""Metrics of several workers, on a disk that is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.metrics import Metrics
from service.shared_metrics import sharing


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with sharing(str(tmp_path)):
        yield tmp_path


@contextmanager
def no_room_beyond(most_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def count_on(metrics: Metrics, routes: int) -> None:
    for route in range(routes):
        metrics.count_request(f"/{route}", 200, 0.1)


def told(metrics: Metrics) -> list[str]:
    said = metrics.exposition().decode()
    return [line for line in said.splitlines() if line.startswith("bbqrec_requests_total{route")]


def test_no_byte_of_a_file_is_left_for_the_disk_to_find_when_it_is_written(folder: Path) -> None:
    """Of a mapped file: on a full disk that is a signal, and no error."""
    count_on(Metrics(), 200)
    files = [path.stat() for path in folder.glob("*.db")]
    assert max(file.st_size for file in files) > 2**16
    assert all(512 * file.st_blocks >= file.st_size for file in files)


@pytest.mark.parametrize("most_bytes", [0, 2**16])
def test_what_finds_no_room_stops_nothing_and_is_told_once_there_is_some(
    folder: Path, most_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    with no_room_beyond(most_bytes):
        metrics = Metrics()
        count_on(metrics, 700)
        assert len(told(metrics)) < 700
    assert "some metrics are not told for now" in caplog.text
    count_on(metrics, 700)
    lines = told(metrics)
    assert len([line for line in lines if line.endswith(" 2.0")]) == 700
