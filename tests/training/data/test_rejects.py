"""Bad rows: each reason, with file and line, and the share that stops a run."""

import gzip
import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.training.data.preparing import GOOD, GOOD_CSV, run, write
from training.errors import UserError


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b",a,1,5", "missing_user_id"),
        (b'" ",a,1,5', "missing_user_id"),
        (b"u,,1,5", "missing_item_id"),
        (b"u,a,,5", "missing_time"),
        (b"u,a,yesterday,5", "unparsable_time"),
        (b"u,a,1e30,5", "unparsable_time"),
        (b"u,a,nan,5", "not_finite"),
        (b"u,a,inf,5", "not_finite"),
        (b"u,a,1,-Infinity", "not_finite"),
        (b"u,a,1,good", "unparsable_rating"),
        (b"u,a,1,", "missing_rating"),
        (b"u,a\0b,1,5", "zero_byte_in_id"),
        (b"u\0,a,1,5", "zero_byte_in_id"),
        (b"u,\xff\xfe,1,5", "broken_utf8"),
        (b"u,a,1", "wrong_number_of_fields"),
        (b"u,a,1,5,6", "wrong_number_of_fields"),
        (b'u,"a,1,5', "malformed_line"),
        (b'u,"a"b,1,5', "malformed_line"),
    ],
)
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_a_bad_row_is_named_and_the_others_stay(
    tmp_path: Path, row: bytes, reason: str, name: str
) -> None:
    head, *good = GOOD_CSV.splitlines()
    rows = [f"{head},rating", f"{good[0]},5", "?", f"{good[1]},4", f"{good[2]},3"]
    content = "\n".join(rows).encode().replace(b"?", row)
    log = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    prepared = run(log, interactions={"min_rating": 1})
    assert prepared.bad == [(name, 3, reason)]
    assert prepared.triples == GOOD
    assert prepared.card.interactions_source.rejected == {reason: 1}
    assert prepared.card.interactions_source.rows == 4
    excerpt = prepared.rejects[0]["excerpt"]
    assert excerpt == row.decode(errors="replace")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"item": "a", "time": 1}', "missing_user_id"),
        ('{"user": ["u"], "item": "a", "time": 1}', "missing_user_id"),
        ('{"user": NaN, "item": "a", "time": 1}', "missing_user_id"),
        ('{"user": 1e999, "item": "a", "time": 1}', "missing_user_id"),
        ('{"user": true, "item": "a", "time": 1}', "missing_user_id"),
        ('{"user": "u", "item": null, "time": 1}', "missing_item_id"),
        ('{"user": "u", "item": false, "time": 1}', "missing_item_id"),
        ('{"user": "u", "item": "a\\u0000b", "time": 1}', "zero_byte_in_id"),
        ('{"user": "u", "item": "a", "time": true}', "unparsable_time"),
        ('{"user": "u", "item": "a", "time": NaN}', "not_finite"),
        ('{"user": "u", "item": "a", "time": 1', "malformed_line"),
        ('["u", "a", 1]', "malformed_line"),
        ("[" * 100_000, "malformed_line"),
        ('{"user": "u", "item": "\\ud83d", "time": 1}', "broken_utf8"),
    ],
)
def test_a_bad_json_line(tmp_path: Path, row: str, reason: str) -> None:
    good = [f'{{"user": "{u}", "item": "{i}", "time": {t}}}' for u, i, t in GOOD]
    prepared = run(write(tmp_path / "log.jsonl", "\n".join([*good[:2], "", row, good[2]])))
    assert prepared.bad == [("log.jsonl", 4, reason)]
    assert prepared.triples == GOOD


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("user", float("nan"), "missing_user_id"),
        ("user", float("inf"), "missing_user_id"),
        ("user", True, "missing_user_id"),
        ("item", "a\0b", "zero_byte_in_id"),
        ("item", "café".encode("latin-1"), "broken_utf8"),
        ("user", "café".encode("latin-1"), "broken_utf8"),
        ("item", b" ", "missing_item_id"),
        ("time", b"soon", "unparsable_time"),
        ("time", True, "unparsable_time"),
    ],
)
def test_what_is_no_id_or_time_in_json_is_none_in_parquet(
    tmp_path: Path, column: str, value: object, reason: str
) -> None:
    good = pl.DataFrame(GOOD, ["user", "item", "time"], orient="row")
    row = good[:1].with_columns(pl.lit(value).alias(column))
    for name, part in (("1.parquet", good), ("2.parquet", row)):
        (tmp_path / "log").mkdir(exist_ok=True)
        part.write_parquet(tmp_path / "log" / name)
    prepared = run(tmp_path / "log")
    assert prepared.bad == [("2.parquet", 1, reason)]
    assert prepared.triples == GOOD


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_ratings_that_nobody_asked_for_may_be_as_they_are(tmp_path: Path, name: str) -> None:
    head, *good = GOOD_CSV.splitlines()
    rows = [f"{head},stars", f"{good[0]},good", f"{good[1]},inf", f"{good[2]},"]
    content = "\n".join(rows).encode()
    log = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    prepared = run(log)
    assert prepared.bad == []
    assert prepared.triples == GOOD


def test_bad_rows_of_parquet_have_file_and_row(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user": ["u"] * 5,
            "item": ["a", None, "b", "c", "d"],
            "time": [1.0, 2, None, 3, float("nan")],
        }
    )
    (tmp_path / "log").mkdir()
    frame[:2].write_parquet(tmp_path / "log/1.parquet")
    frame.write_parquet(tmp_path / "log/2.parquet")
    prepared = run(tmp_path / "log", recommend="all")
    assert prepared.bad == [
        ("1.parquet", 2, "missing_item_id"),
        ("2.parquet", 2, "missing_item_id"),
        ("2.parquet", 3, "missing_time"),
        ("2.parquet", 5, "not_finite"),
    ]
    assert prepared.history("u") == ["a", "a", "c"]


def test_a_truncated_gzip_keeps_what_came_before_the_cut(tmp_path: Path) -> None:
    noise = random.Random(0)
    rows = [f"u{n % 9},i{noise.random()},{n}" for n in range(20_000)]
    whole = gzip.compress("\n".join(["user,item,time", *rows]).encode())
    prepared = run(write(tmp_path / "log.csv.gz", whole[: len(whole) // 2]))
    kept = prepared.card.interactions
    assert 5_000 < kept < 15_000
    assert prepared.bad == [("log.csv.gz", kept + 2, "truncated_gzip")]
    assert rows[kept].startswith(prepared.rejects[0]["excerpt"])


def test_lines_are_counted_through_quoted_newlines(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.csv",
        'user,note,item,time\nu,"two\nlines",a,1\nu,"say ""hi""\n\n,",b,2\nu,x,,3\nu,x,c,4\n',
    )
    prepared = run(log)
    assert prepared.history("u") == ["a", "b", "c"]
    assert prepared.bad == [("log.csv", 7, "missing_item_id")]


def test_a_quote_that_never_closes_costs_one_row(tmp_path: Path) -> None:
    rows = [f"u,i{n},{n}" for n in range(300)]
    rows[10] = 'u,"i,10'
    prepared = run(write(tmp_path / "log.csv", "\n".join(["user,item,time", *rows])))
    assert prepared.bad == [("log.csv", 12, "malformed_line")]
    assert prepared.card.interactions == 299


def test_a_row_of_empty_fields_is_no_blank_line(tmp_path: Path) -> None:
    prepared = run(write(tmp_path / "log.tsv", "user\titem\nu\ta\n\t\n  \n\nu\tb\nu\tc\n"))
    assert prepared.bad == [("log.tsv", 3, "missing_user_id")]


def test_tabs_need_no_quoting(tmp_path: Path) -> None:
    log = write(tmp_path / "log.tsv", 'user\titem\nu\t"A" side\nu\t12" vinyl\nu\t"c\nu\t"d e"\n')
    assert run(log).history("u") == ['"A" side', '12" vinyl', '"c', "d e"]


@pytest.mark.parametrize(("bad", "stops"), [(1, False), (2, True)])
def test_the_share_of_bad_rows_is_limited(tmp_path: Path, bad: int, stops: bool) -> None:
    rows = [f"u,i{n},{n}" for n in range(100 - bad)] + ["u,,1"] * bad
    log = write(tmp_path / "log.csv", "\n".join(["user,item,time", *rows]))
    if not stops:
        assert run(log, filter={"max_reject_share": 0.01}).card.interactions == 99
        return
    with pytest.raises(UserError, match="2 missing_item_id") as raised:
        run(log, filter={"max_reject_share": 0.01})
    for said in ("2 of 100 rows", "2.00%", "1.00%", str(tmp_path / "prepared/rejects.jsonl")):
        assert said in str(raised.value)
    assert len((tmp_path / "prepared/rejects.jsonl").read_text().splitlines()) == 2


def test_a_file_of_nothing_but_garbage_stops_the_run(tmp_path: Path) -> None:
    garbage = b"user,item\n" + bytes(range(256)) * 40
    with pytest.raises(UserError, match="cannot be used"):
        run(write(tmp_path / "log.csv", garbage), filter={"max_reject_share": 0.5})


@pytest.mark.parametrize(
    "odd",
    [
        *("u,i", "u,i,1,9", "u,i,1\r", "u\0,i,1", "u,i,1\rv,j,2", 'u,"i\nk",3', ' "u",i,3'),
        *('"u" ,i,3', '"u""",i,3', "u,'i',3", 'u,i"j"k,3', 'u,""i,3', '"u,i",3', "#u,i,3"),
        *("null,NA,3", "u,i,0x10", "u,i,+5", "u,i,1_0", "u,i,5e3", "u,i,"),
    ],
)
def test_both_roads_agree_on_an_odd_row_deep_in_a_file(tmp_path: Path, odd: str) -> None:
    rows = [f"u{n % 97},i{n % 1013},{n}" for n in range(4_000)]
    text = "\n".join(["user,item,time", *rows[:3_000], odd, *rows[3_000:]])
    plain = run(write(tmp_path / "log.csv", text))
    zipped = run(write(tmp_path / "log.csv.gz", gzip.compress(text.encode())))
    assert plain.triples == zipped.triples
    assert [entry[1:] for entry in plain.bad] == [entry[1:] for entry in zipped.bad]
    assert all(line == 3_002 for _, line, _ in plain.bad)
    assert plain.card.interactions + len(plain.bad) == 4_001


CELLS = st.sampled_from(["u", "v", "", " ", '"q"', '"a,b"', '"open', "x\ny", "7", "nan", "\xe9"])
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=0, max_size=12)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ROWS)
@example([["u", "u", "7", ""]])
def test_every_row_is_kept_or_rejected_whichever_way_it_is_read(
    tmp_path: Path, rows: list[list[str]]
) -> None:
    """Plain CSV may be read in parallel, gzipped CSV never is: both must say the same."""
    text = GOOD_CSV + "\n".join(",".join(row) for row in rows)
    seen = []
    for name, content in (("a.csv", text.encode()), ("b.csv", gzip.compress(text.encode()))):
        prepared = run(write(tmp_path / name, content))
        source = prepared.card.interactions_source
        assert source.rows == prepared.card.interactions + len(prepared.bad)
        assert Counter(reason for _, _, reason in prepared.bad) == source.rejected
        seen.append((prepared.triples, [entry[1:] for entry in prepared.bad]))
    assert seen[0] == seen[1]
