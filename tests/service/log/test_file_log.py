"""The log as a file: torn, damaged, compacted, written by several, killed."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as drawing
from hypothesis import strategies as st

from service.catalogue.change import Change, encode
from service.catalogue.change_log import CHANGE_LOG
from service.catalogue.fold import Fold
from service.log.file_log import FileLog
from service.log.framing import frame
from service.log.log import Entry, LogError, Reader
from tests.service.catalogue.changes import CHANGES, delete, put

SEVERAL = [put("a"), put("b"), delete("a"), put("c", title="A\nline")]


def read_all(reader: Reader[Change]) -> list[Entry[Change]]:
    found = []
    while entries := reader.read(2):
        found += entries
    return found


def positions(entries: list[Entry[Change]]) -> list[int]:
    return [entry.position for entry in entries]


def last(log: FileLog[Change]) -> int:
    reader = log.reader()
    read_all(reader)
    return reader.position


def folded(entries: list[Entry[Change]]) -> list[bytes]:
    fold = Fold()
    for entry in entries:
        fold.apply(entry)
    return [encode(entry) for entry in fold.entries()]


def test_a_compaction_that_finds_no_room_takes_none(tmp_path: Path) -> None:
    """Half of it would stay, in the room that entries need."""
    log = FileLog(tmp_path / "log", CHANGE_LOG, worth=0)
    log.append(SEVERAL)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        for rewrite in (log.compact_if_due, lambda: log.trim(2, 0, bool)):
            with pytest.raises(LogError, match="is not to be had"):
                rewrite()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not log.path.with_suffix(".partial").exists()
    assert log.append([put("d")]) == [5]
    assert positions(read_all(log.reader())) == [1, 2, 3, 4, 5]


def test_what_was_appended_is_read_in_order_by_any_process(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log", CHANGE_LOG)
    reader = log.reader()
    assert (reader.read(10), reader.position) == ([], 0)
    assert log.append(SEVERAL) == [1, 2, 3, 4]
    assert log.append([put("d")]) == [5]
    another = FileLog(tmp_path / "log", CHANGE_LOG)
    assert positions(read_all(reader)) == positions(read_all(another.reader())) == [1, 2, 3, 4, 5]
    assert another.append([put("e")]) == [6]
    assert positions(reader.read(10)) == [6]
    assert last(log) == 6


@given(cut=st.integers(0, 2000), garbage=st.binary(max_size=40))
@drawing(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_cut_at_any_byte_the_whole_lines_are_kept_and_the_torn_one_is_cut_off(
    tmp_path: Path, cut: int, garbage: bytes
) -> None:
    folder = tmp_path / f"{cut}-{garbage.hex()}"
    shutil.rmtree(folder, ignore_errors=True)
    written = FileLog(folder, CHANGE_LOG)
    ends = []
    for change in SEVERAL:
        written.append([change])
        ends.append(written.path.stat().st_size)
    written.close()
    cut = min(cut, ends[-1])
    os.truncate(written.path, cut)
    with written.path.open("ab") as file:
        file.write(garbage)
    whole = sum(end <= cut for end in ends)
    log = FileLog(folder, CHANGE_LOG)
    reader = log.reader()
    assert positions(read_all(reader)) == list(range(1, whole + 1))
    assert log.append([put("next")]) == [whole + 1]
    assert positions(read_all(reader)) == [whole + 1]
    assert positions(read_all(log.reader())) == list(range(1, whole + 2))
    log.close()


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_damaged_line_before_others_costs_no_other(tmp_path: Path, line: int) -> None:
    log = FileLog(tmp_path, CHANGE_LOG)
    log.append(SEVERAL)
    lines = log.path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"item", b"iTem")
    log.path.write_bytes(b"".join(lines))
    others = [n for n in (1, 2, 3, 4) if n != line + 1]
    assert positions(read_all(FileLog(tmp_path, CHANGE_LOG).reader())) == others
    assert FileLog(tmp_path, CHANGE_LOG).append([put()]) == [5]
    assert positions(read_all(FileLog(tmp_path, CHANGE_LOG).reader())) == [*others, 5]


def test_an_entry_of_another_release_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is passed over, and stays for whoever can read it."""
    log, newer = FileLog(tmp_path, CHANGE_LOG, worth=0), b'{"position":3,"kind":"rename"}'
    following = log.reader()
    log.append(SEVERAL[:2])
    with log.path.open("ab") as file:
        file.write(frame(newer))
    assert positions(following.read(10)) == [1, 2]
    assert following.position == 3
    assert log.append(SEVERAL[2:]) == [4, 5]
    assert positions(following.read(10)) == [4, 5]
    assert caplog.text.count("position 3 of") == 1
    with pytest.raises(LogError, match="of another release"):
        log.compact_if_due()
    log.trim(1, 0, bool)
    assert newer in log.path.read_bytes()
    assert positions(read_all(log.reader())) == [2, 4, 5]
    log.trim(3, 0, bool)
    assert newer not in log.path.read_bytes()
    assert positions(read_all(log.reader())) == [4, 5]
    with log.path.open("ab") as file:
        file.write(frame(b"of nobody"))
    assert FileLog(tmp_path, CHANGE_LOG).append([put("d")]) == [7]
    assert positions(read_all(following)) == [7]


@given(
    parts=st.lists(st.lists(CHANGES, min_size=1, max_size=4), min_size=1, max_size=6),
    compact_after=st.integers(0, 5),
    reader_from=st.integers(0, 5),
)
@drawing(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_compaction_changes_nothing_for_whoever_reads(
    tmp_path: Path, parts: list[list[Change]], compact_after: int, reader_from: int
) -> None:
    """One reads from the start, one was away meanwhile; positions go on."""
    shutil.rmtree(tmp_path / "log", ignore_errors=True)
    shutil.rmtree(tmp_path / "plain", ignore_errors=True)
    plain, log = (
        FileLog(tmp_path / "plain", CHANGE_LOG),
        FileLog(tmp_path / "log", CHANGE_LOG, worth=0),
    )
    away, seen = log.reader(), []
    for number, part in enumerate(parts):
        plain.append(part)
        log.append(part)
        if number == reader_from:
            seen = read_all(away)
        if number == compact_after:
            log.compact_if_due()
    expected = read_all(plain.reader())
    assert folded(read_all(log.reader())) == folded(expected)
    assert folded([*seen, *read_all(away)]) == folded(expected)
    assert away.position == last(log) == last(plain)
    assert log.append([put()]) == [last(plain) + 1]


def test_it_is_compacted_when_it_has_doubled(tmp_path: Path) -> None:
    log = FileLog(tmp_path, CHANGE_LOG, worth=1000)
    log.append([put("a")])
    assert not log.compact_if_due()
    log.append([put("a") for _ in range(20)])
    assert log.compact_if_due()
    small = log.path.stat().st_size
    log.append([put("a") for _ in range(5)])
    assert log.compact_if_due()
    assert log.path.stat().st_size < 1.1 * small
    assert last(log) == 26


def test_a_log_that_was_removed_begins_anew_for_its_readers(tmp_path: Path) -> None:
    log = FileLog(tmp_path, CHANGE_LOG)
    reader = log.reader()
    log.append(SEVERAL)
    assert len(read_all(reader)) == 4
    log.path.unlink()
    assert log.append([put()]) == [1]
    assert positions(read_all(reader)) == [1]


def test_writers_beside_each_other_lose_nothing(tmp_path: Path) -> None:
    """Threads of one process and other processes; the file is compacted meanwhile."""
    log, each = FileLog(tmp_path, CHANGE_LOG, worth=0), 30
    code = f"""
from pathlib import Path
from service.catalogue.change_log import CHANGE_LOG
from service.log.file_log import FileLog
from tests.service.catalogue.changes import put
log = FileLog(Path({str(tmp_path)!r}), CHANGE_LOG)
for n in range({each}):
    log.append([put(f"process-{{n}}")])
"""
    process = subprocess.Popen([sys.executable, "-c", code])

    def write(name: str) -> None:
        for n in range(each):
            log.append([put(f"{name}-{n}")])
            log.compact_if_due()

    threads = [threading.Thread(target=write, args=(f"thread-{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.wait(60) == 0
    names = {entry.value.item_id for entry in read_all(log.reader())}
    wanted = [f"{name}-{n}" for name in ("process", "thread-0", "thread-1") for n in range(each)]
    assert names == set(wanted)
    assert last(log) == 3 * each


def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from service.catalogue.change_log import CHANGE_LOG
from service.log.file_log import FileLog
from tests.service.catalogue.changes import put
log = FileLog(Path({str(tmp_path)!r}), CHANGE_LOG, worth=2000)
while True:
    print(log.append([put("a")])[0], flush=True)
    log.compact_if_due()
"""
    told = 0
    for acknowledged in (5, 17, 40):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stdout is not None
        for _ in range(acknowledged):
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        told = max([told, *map(int, process.stdout.read().split())])
        process.wait()
        process.stdout.close()
        assert last(FileLog(tmp_path, CHANGE_LOG)) >= told


def test_who_waits_hears_of_what_this_process_appends_and_of_what_others_do(
    tmp_path: Path,
) -> None:
    log = FileLog(tmp_path, CHANGE_LOG)
    for writer in (log, FileLog(tmp_path, CHANGE_LOG)):
        reader = log.reader()
        read_all(reader)
        heard: list[Entry[Change]] = []
        thread = threading.Thread(target=lambda: heard.extend(reader.read(10, 30)))  # noqa: B023
        thread.start()
        writer.append([put()])
        thread.join(30)
        assert len(heard) == 1


def test_a_folder_that_cannot_be_written_is_said_and_can_still_be_read(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log", CHANGE_LOG)
    log.append(SEVERAL)
    blocked = FileLog(tmp_path / "file" / "log", CHANGE_LOG)
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(LogError, match="is not to be had"):
        blocked.append(SEVERAL)
    assert blocked.reader().read(10) == []
