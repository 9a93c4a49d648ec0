"""A folder of exports, a file a day, is read as one file would be; what is odd in it is named."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.training.data.preparing import GOOD, GOOD_CSV, Triple, config, run, write
from training.errors import UserError
from training.run import prepare as stage

NAMES = ["user_id", "item_id", "timestamp"]


def csv(rows: list[Triple], separator: str = ",") -> bytes:
    lines = [NAMES, *([str(value) for value in row] for row in rows)]
    return "".join(separator.join(line) + "\n" for line in lines).encode()


def jsonl(rows: list[Triple]) -> bytes:
    return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows).encode()


def parquet(rows: list[Triple]) -> bytes:
    target = io.BytesIO()
    pl.DataFrame(rows, NAMES, orient="row").write_parquet(target)
    return target.getvalue()


WRITERS: dict[str, Callable[[list[Triple]], bytes]] = {
    "csv": csv,
    "csv.gz": lambda rows: gzip.compress(csv(rows)),
    "tsv": lambda rows: csv(rows, "\t"),
    "jsonl": jsonl,
    "ndjson": jsonl,
    "json.gz": lambda rows: gzip.compress(jsonl(rows)),
    "parquet": parquet,
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_folder_is_read_as_one_file(tmp_path: Path, suffix: str) -> None:
    """In the order of names, folders below it included, without what other tools leave about."""
    content = WRITERS[suffix]
    write(tmp_path / "log/_SUCCESS", "")
    write(tmp_path / f"log/_temporary/0.{suffix}", "half written")
    write(tmp_path / f"log/.part.{suffix}", "half written")
    write(tmp_path / "log/README.txt", "clicks of the shop")
    write(tmp_path / f"log/2026/11/02.{suffix}", content(GOOD[2:]))
    write(tmp_path / f"log/2026/11/01.{suffix}", content(GOOD[1:2]))
    write(tmp_path / f"log/2026/10/31.{suffix}", content(GOOD[:1]))
    prepared = run(tmp_path / "log")
    assert prepared.triples == GOOD
    assert prepared.bad == []
    assert prepared.card.interactions_source.rows == 3


def test_without_times_the_order_of_names_is_the_order(tmp_path: Path) -> None:
    for day, item in enumerate("cab"):
        write(tmp_path / f"log/{day}.csv", f"user,item\nu,{item}\n")
    assert run(tmp_path / "log").history("u") == ["c", "a", "b"]


def test_plain_and_zipped_files_may_lie_side_by_side(tmp_path: Path) -> None:
    write(tmp_path / "log/1.csv.gz", gzip.compress(csv(GOOD[:1])))
    write(tmp_path / "log/2.csv", csv(GOOD[1:]))
    assert run(tmp_path / "log").triples == GOOD


def test_columns_may_stand_in_another_order_and_others_be_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "log/1.csv", csv(GOOD[:2]))
    write(tmp_path / "log/2.csv", "channel,timestamp,user_id,item_id\nweb,30,007,c\n")
    assert run(tmp_path / "log").triples == GOOD


def test_a_bad_row_is_named_by_its_file_within_the_folder_and_line(tmp_path: Path) -> None:
    write(tmp_path / "log/10/01.csv", csv(GOOD) + b"007,d\n")
    write(tmp_path / "log/11/01.csv", csv(GOOD[:1]) + b"007,d,then\n")
    write(tmp_path / "log/11/02.csv.gz", gzip.compress(csv([]) + b",d,40\n"))
    assert run(tmp_path / "log").bad == [
        ("10/01.csv", 5, "wrong_number_of_fields"),
        ("11/01.csv", 3, "unparsable_time"),
        ("11/02.csv.gz", 2, "missing_user_id"),
    ]


def test_days_on_which_nothing_happened(tmp_path: Path) -> None:
    write(tmp_path / "log/1.jsonl", jsonl(GOOD))
    write(tmp_path / "log/2.jsonl", "")
    write(tmp_path / "log/3.jsonl.gz", gzip.compress(b""))
    assert run(tmp_path / "log").triples == GOOD
    write(tmp_path / "csv/1.csv", csv(GOOD))
    write(tmp_path / "csv/2.csv", csv([]))
    assert run(tmp_path / "csv").triples == GOOD


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_in_which_nothing_is_stops_nobody_and_is_named(tmp_path: Path, suffix: str) -> None:
    """An export that failed, or a quiet day."""
    write(tmp_path / f"log/1.{suffix}", b"")
    write(tmp_path / f"log/2.{suffix}", WRITERS[suffix](GOOD))
    done = run(tmp_path / "log")
    assert done.triples == GOOD
    assert done.card.interactions_source.empty == (f"1.{suffix}",)
    said = stage.run(config(tmp_path / "log"), tmp_path / "said")
    assert f"; not read: log/1.{suffix}: nothing is in it" in said


@pytest.mark.parametrize("content", [b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n  \r\n"])
def test_blank_lines_are_nothing(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "log/1.csv", content)
    write(tmp_path / "log/2.csv", csv(GOOD))
    assert run(tmp_path / "log").triples == GOOD


def test_a_file_of_which_nothing_can_be_read_is_no_such_day(tmp_path: Path) -> None:
    write(tmp_path / "log/1.jsonl", jsonl(GOOD))
    write(tmp_path / "log/2.jsonl.gz", gzip.compress(jsonl(GOOD))[:12])
    with pytest.raises(UserError, match=r"2\.jsonl\.gz"):
        run(tmp_path / "log")


ODD: dict[str, tuple[dict[str, bytes], str]] = {
    "several formats": (
        {"a.csv": csv(GOOD), "b.jsonl": jsonl(GOOD)},
        r"several formats: a\.csv is csv, b\.jsonl is jsonl\. Set interactions\.format",
    ),
    "parquet beside csv": (
        {"a.csv": csv(GOOD), "b.parquet": parquet(GOOD)},
        r"b\.parquet is parquet",
    ),
    "a file without times": (
        {"a.csv": csv(GOOD), "b.csv": b"user_id,item_id\n007,d\n"},
        r"b\.csv differs in its columns from .*a\.csv: the time is nowhere here, and in 'timest",
    ),
    "a file with other names": (
        {"a.csv": csv(GOOD), "b.csv": b"user,item,time\n007,d,40\n"},
        r"b\.csv differs .*the user is in 'user' here, and in 'user_id' there",
    ),
    "a file without a user": (
        {"a.csv": csv(GOOD), "b.csv": b"item_id,timestamp\nd,40\n"},
        r"b\.csv has no column for the user",
    ),
    "nothing": ({}, r"log is a folder without \*\.parquet, \*\.csv"),
    "nothing but hidden files": (
        {".a.csv": csv(GOOD), "_b/c.csv": csv(GOOD)},
        r"is a folder without .*names that start with _ or \. do not count",
    ),
    "nothing of a known name": ({"a.txt": csv(GOOD)}, "is a folder without"),
    "nothing but quiet days": ({"a.jsonl": b"", "b.jsonl": b""}, r"a\.jsonl is empty"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_in_a_folder_is_named(tmp_path: Path, case: str) -> None:
    files, needle = ODD[case]
    (tmp_path / "log").mkdir()
    for name, content in files.items():
        write(tmp_path / "log" / name, content)
    with pytest.raises(UserError, match=needle):
        run(tmp_path / "log")


def test_a_configured_format_chooses_among_several(tmp_path: Path) -> None:
    write(tmp_path / "log/a.csv", csv(GOOD))
    write(tmp_path / "log/b.jsonl", jsonl([("007", "d", 40)]))
    assert run(tmp_path / "log", interactions={"format": "csv"}).triples == GOOD
    with pytest.raises(UserError, match="is a folder without tsv files"):
        run(tmp_path / "log", interactions={"format": "tsv"})


def test_items_come_from_such_a_folder_too(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", GOOD_CSV)
    write(tmp_path / "items/1.csv", "item_id,title,brand\na,Anvil,Acme\nb,Bolt,Acme\n")
    write(tmp_path / "items/2.csv.gz", gzip.compress(b"item_id,title,brand\nc,Cog,Zed\n"))
    prepared = run(log, items={"path": tmp_path / "items"})
    assert [prepared.item(item)["title"] for item in "abc"] == ["Anvil", "Bolt", "Cog"]
    write(tmp_path / "items/3.csv", "item_id,title\nd,Dog\n")
    with pytest.raises(UserError, match=r"items\.path: .*3\.csv differs in its columns"):
        run(log, items={"path": tmp_path / "items"})
