"""Every format that interactions may come in; each test writes its own small files."""

import datetime as dt
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.training.data.preparing import GOOD, GOOD_CSV, run, write
from training.errors import UserError

REVIEWS_2014 = [
    {"reviewerID": "A1", "asin": item, "overall": 5.0, "unixReviewTime": time, "reviewText": "x"}
    for item, time in (("B1", 1_400_000_000), ("B2", 1_400_086_400), ("B3", 1_400_172_800))
]
REVIEWS_2023 = [
    {"user_id": "A1", "asin": "x", "parent_asin": item, "timestamp": time, "rating": 4.0}
    for item, time in (
        ("B1", 1_600_000_000_123),
        ("B2", 1_600_000_000_456),
        ("B3", 16 * 10**11 - 1),
    )
]


def json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", GOOD_CSV),
        ("log.csv", "\ufeff" + GOOD_CSV.replace("\n", "\r\n")),
        ("log.csv", '"user_id","item_id","timestamp"\n"007","a","10"\n007,b,20\n007,c," 30 "'),
        ("log.csv", "\n\n" + GOOD_CSV.replace("\n", "\n\n")),
        ("log.tsv", GOOD_CSV.replace(",", "\t")),
        ("log", GOOD_CSV),
        ("log.data", GOOD_CSV.replace(",", "\t")),
        ("log.csv.gz", gzip.compress(GOOD_CSV.encode(), mtime=0)),
        ("log.csv", gzip.compress(GOOD_CSV.encode(), mtime=0)),
        (
            "log.jsonl",
            json_lines([dict(zip(("user", "item", "time"), r, strict=True)) for r in GOOD]),
        ),
        ("log.inter", GOOD_CSV.replace(",", "\t").replace("_id", "_id:token")),
        ("u.data", "007\ta\t3\t10\n007\tb\t4\t20\n007\tc\t5\t30\n"),
        ("ratings.dat", "007::a::3::10\n007::b::4::20\n007::c::5::30\n"),
    ],
)
def test_the_format_is_found_out(tmp_path: Path, name: str, content: str | bytes) -> None:
    prepared = run(write(tmp_path / name, content))
    assert prepared.triples == GOOD
    assert prepared.bad == []
    assert prepared.card.interactions_source.rows == 3


def test_columns_and_separator_are_configured(tmp_path: Path) -> None:
    log = write(tmp_path / "x.txt", "who|at|what|who\n" + "u|5|i|\nu|6|j|\nu|7|k|\n")
    columns = {"user": "who", "item": "what", "time": "at"}
    prepared = run(log, interactions={"format": "csv", "separator": "|", "columns": columns})
    assert prepared.triples == [("u", "i", 5), ("u", "j", 6), ("u", "k", 7)]


def test_a_separator_may_have_several_characters(tmp_path: Path) -> None:
    log = write(tmp_path / "x.txt", GOOD_CSV.replace(",", "||"))
    assert run(log, interactions={"format": "csv", "separator": "||"}).triples == GOOD


def test_a_separator_may_be_of_several_bytes(tmp_path: Path) -> None:
    log = write(tmp_path / "x.txt", GOOD_CSV.replace(",", "¦"))
    assert run(log, interactions={"format": "csv", "separator": "¦"}).triples == GOOD


def test_a_parquet_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    rows = pl.DataFrame(GOOD, ["user_id", "item_id", "timestamp"], orient="row")
    write(tmp_path / "log/_SUCCESS", "")
    write(tmp_path / "log/_temporary/0.parquet", "half written")
    (tmp_path / "log/later").mkdir()
    rows[2:].write_parquet(tmp_path / "log/later/2.parquet")
    rows[:2].write_parquet(tmp_path / "log/1.parquet")
    assert run(tmp_path / "log").triples == GOOD


def test_parquet_ids_and_times_of_any_type(tmp_path: Path) -> None:
    times = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (0, 1, 2)]
    frame = pl.DataFrame({"user": [7, 7, 7], "item": [1.0, 2.0, 3.0], "time": times})
    frame.write_parquet(tmp_path / "log.parquet")
    start = 1_704_067_200
    assert run(tmp_path / "log.parquet").triples == [
        ("7", "1", start),
        ("7", "2", start + 3600),
        ("7", "3", start + 7200),
    ]


@pytest.mark.parametrize(
    ("values", "time_format"),
    [
        (("1704067200", "1704067201", "1704067202.5"), "auto"),
        (("1704067200000", "1704067201000", "1704067202999"), "auto"),
        (("1704067200000000", "1704067201000000", "1704067202000000"), "auto"),
        (("1704067200000", "1704067201000", "1704067202000"), "milliseconds"),
        (("2024-01-01", "2024-01-01T00:00:01Z", "2024-01-01 02:00:02+02:00"), "auto"),
        (("2024-01-01 00:00", "2024-01-01 00:00:01", "2024-01-01 00:00:02.75"), "iso8601"),
        (("01/01/24 000000", "01/01/24 000001", "01/01/24 000002"), "%d/%m/%y %H%M%S"),
        (("45292", "45292.0000115741", "45292.0000231481"), "excel"),
    ],
)
def test_times(tmp_path: Path, values: tuple[str, ...], time_format: str) -> None:
    rows = "".join(f"u,{item},{time}\n" for item, time in zip("abc", values, strict=True))
    log = write(tmp_path / "log.csv", "user,item,time\n" + rows)
    prepared = run(log, interactions={"time_format": time_format})
    assert prepared.bad == []
    assert prepared.log["timestamp"].to_list() == [1704067200, 1704067201, 1704067202]


@pytest.mark.parametrize(
    ("value", "said", "time_format"),
    [
        ("45292.5", "days as Excel counts them (2024-01-01 12:00)", "excel"),
        ('"45292,5"', "days as Excel counts them (2024-01-01 12:00)", "excel"),
        ("20240101", "dates (2024-01-01 00:00)", "%Y%m%d"),
        ("202401011200", "dates (2024-01-01 12:00)", "%Y%m%d%H%M"),
        ("20240101120005", "dates (2024-01-01 12:00)", "%Y%m%d%H%M%S"),
    ],
)
def test_dates_that_would_pass_for_seconds_are_refused_with_what_to_set(
    tmp_path: Path, value: str, said: str, time_format: str
) -> None:
    rows = "".join(f"u,{item},{value}\n" for item in "abc")
    log = write(tmp_path / "log.csv", "user,item,time\n" + rows)
    with pytest.raises(UserError) as told:
        run(log)
    number = value.strip('"')
    assert f"'time' holds numbers such as {number}, which look like {said}" in str(told.value)
    assert f"set interactions.time_format = '{time_format}', or 'seconds'" in str(told.value)
    read = run(log, interactions={"time_format": time_format}).log["timestamp"]
    assert {*read} <= {1704067200, 1704110400, 1704110405}


def test_seconds_that_look_like_days_of_excel_may_be_said_to_be_seconds(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", GOOD_CSV.replace("0\n", "0000\n").replace("10000", "40000"))
    with pytest.raises(UserError, match="days as Excel counts them"):
        run(log)
    read = run(log, interactions={"time_format": "seconds"}).log["timestamp"]
    assert sorted(read) == [20_000, 30_000, 40_000]


def test_parquet_has_days_of_excel_as_numbers(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["u"] * 3, "item": [*"abc"], "time": [45292.0, 45293.25, 45294]})
    frame.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(UserError, match=r"log\.parquet: 'time' holds numbers such as 45292\.0"):
        run(tmp_path / "log.parquet")
    prepared = run(tmp_path / "log.parquet", interactions={"time_format": "excel"})
    assert prepared.log["timestamp"][1] == 1704067200 + 86_400 + 21_600


@pytest.mark.parametrize("start", [1, 30_000_000, 999_999_999])
def test_numbers_that_only_count_are_no_dates(tmp_path: Path, start: int) -> None:
    rows = "".join(f"u,{item},{start + at}\n" for at, item in enumerate("abc"))
    log = write(tmp_path / "log.csv", "user,item,time\n" + rows)
    assert run(log).log["timestamp"].to_list() == [start, start + 1, start + 2]


def test_milliseconds_order_what_happened_within_a_second(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.csv",
        "user,item,time\nu,c,1700000000900\nu,a,1700000000100\nu,b,1700000000500\n",
    )
    assert run(log).history("u") == ["a", "b", "c"]


@pytest.mark.parametrize("zipped", [False, True])
def test_amazon_reviews(tmp_path: Path, zipped: bool) -> None:
    content = json_lines(REVIEWS_2014).encode()
    name = "reviews.json.gz" if zipped else "reviews.json"
    prepared = run(
        write(tmp_path / name, gzip.compress(content) if zipped else content),
        interactions={"format": "amazon"},
    )
    assert prepared.triples[0] == ("A1", "B1", 1_400_000_000)
    assert prepared.history("A1") == ["B1", "B2", "B3"]


def test_amazon_2023_counts_parents_and_milliseconds(tmp_path: Path) -> None:
    prepared = run(write(tmp_path / "r.jsonl", json_lines(REVIEWS_2023)))
    assert prepared.history("A1") == ["B3", "B1", "B2"]
    assert prepared.triples[1][2] == 1_600_000_000


@pytest.mark.parametrize("item_first", [False, True])
def test_amazon_ratings_only(tmp_path: Path, item_first: bool) -> None:
    user, item = "A2SUAM1J3GNN3B", "000171287"
    pairs = [(f"{item}{n}", user) if item_first else (user, f"{item}{n}") for n in range(3)]
    rows = "".join(f"{a},{b},5.0,{n + 1}\n" for n, (a, b) in enumerate(pairs))
    prepared = run(write(tmp_path / "ratings_Books.csv", rows), interactions={"format": "amazon"})
    assert prepared.triples == [(user, f"{item}{n}", n + 1) for n in range(3)]


def test_sequences_have_an_order_and_no_times(tmp_path: Path) -> None:
    prepared = run(write(tmp_path / "beauty.txt", "1 9 8 7\n2 7 8\n\n1 6\n"))
    assert prepared.history("1") == ["9", "8", "7", "6"]
    assert prepared.log["timestamp"].null_count() == 6
    assert not prepared.card.split.timed


def test_a_folder_as_it_was_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "ml-100k/u.data", "1\t1\t3\t10\n1\t2\t3\t11\n1\t3\t3\t12\n")
    write(tmp_path / "ml-100k/u.item", "1|Café (1995)|x||url|0|1|0\n".encode("latin-1"))
    prepared = run(tmp_path / "ml-100k", interactions={"format": "movielens"})
    assert prepared.history("1") == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "content", "needle"),
    [
        ("log.csv", "who,item_id\nu,i\n", "who, item_id"),
        ("log.csv", "", "is empty"),
        ("log.parquet", "no parquet", "not a readable Parquet"),
        ("log.parquet", b"PAR1 and then nothing PAR1", "not a readable Parquet"),
        ("log.jsonl", '{"user": "u"}\n', "no column for the item"),
        ("log.json", '[{"user": "u"}]', "is a JSON object. Of one array, `jq"),
        ("log", "hello\n", "set `format`"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: str | bytes, needle: str
) -> None:
    log = write(tmp_path / name, content)
    with pytest.raises(UserError, match=needle) as raised:
        run(log)
    assert str(log) in str(raised.value)


@pytest.mark.parametrize("user", [["u"], {"id": "u"}])
def test_a_column_that_can_be_no_id_is_named(tmp_path: Path, user: object) -> None:
    log = tmp_path / "log.parquet"
    pl.DataFrame({"user": [user] * 3, "item": ["i", "j", "k"]}).write_parquet(log)
    with pytest.raises(UserError, match=r"log\.parquet cannot be read: 'user' holds lists or"):
        run(log)


def test_an_hour_of_no_day_is_no_time(tmp_path: Path) -> None:
    """As where the day is in a column of its own."""
    log = tmp_path / "log.parquet"
    hours = [dt.time(10, minute) for minute in range(3)]
    pl.DataFrame({"user": ["u"] * 3, "item": ["i", "j", "k"], "time": hours}).write_parquet(log)
    with pytest.raises(UserError, match="3 unparsable_time"):
        run(log, filter={"max_reject_share": 0.5})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.csv does not exist"):
        run(tmp_path / "nothing.csv")


def test_a_configured_column_that_is_missing_is_named(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", GOOD_CSV)
    with pytest.raises(UserError, match=r"'when'.*columns\.time.*user_id, item_id, timestamp"):
        run(log, interactions={"columns": {"time": "when"}})
