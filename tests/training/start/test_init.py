"""``bbqrec-train init``: what it guesses of a shop's files loads and runs."""

import json
import random
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from training.cli import app
from training.config import RunConfig, load
from training.errors import UserError
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

HEADER = ("customer", "sku", "clicked_at", "score")
RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """60 customers, 40 things with a brand, a price and a picture on the web; S3's lies here."""
    draw = random.Random(0)
    clicks = [
        (f"c{user}", f"S{draw.randrange(30)}", f"2024-01-{day:02} 10:00", draw.randint(1, 5))
        for user in range(60)
        for day in range(1, 9)
    ]
    write_csv(tmp_path / "clicks.csv", [HEADER, *clicks], ";")
    things = [
        (f"S{n}", f"Thing {n}", f"It is fine, number {n}", f"B{n % 4}", f"{n}.99", f"https://x/{n}")
        for n in range(40)
    ]
    names = ("productId", "product name", "Description", "brand", "price", "photo_url")
    pl.DataFrame(things, names, orient="row").write_csv(tmp_path / "catalogue.csv")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/S3.jpg").touch()
    return tmp_path


def write_csv(path: Path, rows: list[tuple[Any, ...]], separator: str = ",") -> None:
    path.write_text("".join(separator.join(map(str, row)) + "\n" for row in rows))


def init(folder: Path, *options: str) -> Result:
    """The command as it is typed in that folder; an error of the user's is raised."""
    names = [str(folder / "shop.toml"), "--interactions", str(folder / "clicks.csv"), *options]
    return RUNNER.invoke(app, ["init", *names], catch_exceptions=True)


def made(folder: Path, *options: str) -> RunConfig:
    done = init(folder, *options)
    assert done.exit_code == 0, done.exception
    return load(folder / "shop.toml")


def test_columns_are_guessed_and_what_is_written_prepares(folder: Path) -> None:
    config = made(folder, "--items", str(folder / "catalogue.csv"))
    log, catalogue = config.interactions, config.items
    assert tuple(log.columns.model_dump().values()) == (*HEADER, None)
    assert (log.format, log.separator, log.path) == ("csv", ";", folder / "clicks.csv")
    assert catalogue is not None
    columns = catalogue.columns
    assert (columns.item, columns.title, columns.image) == ("productId", "product name", None)
    assert columns.text == ("product name", "Description", "brand")
    assert columns.attributes == ("brand", "price")
    assert catalogue.image_template == "pictures/{item_id}.jpg"
    summary = Pipeline(config, STAGES).run("prepare")
    assert summary == (
        "60 users, 40 items, 480 interactions; left out: nothing; "
        "10.4% are of an item that the user had before: recommend = 'all' fits"
    )


def test_the_file_tells_examples_and_meanings_in_comments(folder: Path) -> None:
    made(folder, "--items", str(folder / "catalogue.csv"))
    text = (folder / "shop.toml").read_text()
    assert 'columns.user = "customer"  # such as "c0"' in text
    assert "# k_core = 5  # every user and item has at least this many" in text
    lines = (line.removeprefix("# ") for line in text.splitlines())
    uncommented = "\n".join(line for line in lines if " = " in line or line.startswith("["))
    RunConfig.model_validate(tomllib.loads(uncommented))  # a mark taken away leaves a setting


def test_types_of_events_are_found_with_what_they_may_weigh(folder: Path) -> None:
    rows = [("u1", "S1", 3, kind) for kind in ("pageview", "pageview", "addtocart", "dislike")]
    write_csv(folder / "clicks.csv", [("user", "sku", "time", "action"), *rows])
    assert made(folder).interactions.columns.type == "action"
    text = (folder / "shop.toml").read_text()
    start = text.index("# [events]")
    assert text[start:].splitlines()[1:5] == [
        '# "pageview" = 1',
        '# "addtocart" = 2',
        '# "dislike" = -1',
        "# with `stored`: what the service calls them, so that what it hears counts, too",
    ]
    lines = text[start : text.index("[items]")].splitlines()
    settings = "\n".join(line.removeprefix("# ") for line in lines if " = " in line)
    told = {"pageview": 1, "addtocart": 2, "dislike": -1}
    heard = {"purchase": 4, "cart": 2, "like": 2, "click": 1, "view": 1}
    assert tomllib.loads(settings) == told | heard


def test_the_date_of_an_event_is_no_type(folder: Path) -> None:
    """As Google Analytics calls its columns."""
    names = ("user_pseudo_id", "item_id", "event_date", "event_timestamp", "event_name")
    rows = [("u", f"i{n}", 20240115, 1705312800000000 + n, "view_item") for n in range(5)]
    write_csv(folder / "clicks.csv", [names, *rows])
    columns = made(folder).interactions.columns
    assert (columns.time, columns.type) == ("event_timestamp", "event_name")


@pytest.mark.parametrize("price", ["EUR 12,99", "12,99 €", "$5", "1.012,99"])
def test_prices_that_are_texts_are_said(folder: Path, price: str) -> None:
    rows = [("sku", "name", "price"), *((f"S{n}", f"Thing {n}", f'"{price}"') for n in range(9))]
    write_csv(folder / "catalogue.csv", rows)
    said = " ".join(init(folder, "--items", str(folder / "catalogue.csv")).output.split())
    assert f"price holds texts such as '{price}', which cannot be filtered by range" in said


def test_prices_that_are_numbers_are_none_to_speak_of(folder: Path) -> None:
    said = init(folder, "--items", str(folder / "catalogue.csv")).output
    assert "filtered by range" not in said


def test_a_column_of_very_many_values_is_no_type_of_events(folder: Path) -> None:
    rows = [("u1", f"S{n}", n, f"type {n}") for n in range(50)]
    write_csv(folder / "clicks.csv", [("user", "sku", "time", "type"), *rows])
    assert made(folder).interactions.columns.type is None


def test_what_was_guessed_is_shown(folder: Path) -> None:
    output = init(folder).output
    assert "interactions.columns.user" in output
    assert "customer" in output
    assert "bbqrec-train run" in output


def test_a_file_that_is_there_is_not_overwritten(folder: Path) -> None:
    (folder / "shop.toml").write_text("mine")
    done = init(folder)
    assert isinstance(done.exception, UserError)
    assert "shop.toml exists, and is not overwritten" in str(done.exception)
    assert (folder / "shop.toml").read_text() == "mine"


def test_a_column_that_nobody_can_guess_is_asked_for_by_name(folder: Path) -> None:
    rows = [("a", "b"), *((f"u{n % 9}", f"i{n % 7}") for n in range(99))]
    write_csv(folder / "clicks.csv", rows)
    done = init(folder)
    assert "no column looks like the user. Its columns are: a, b. Name it: --column user=NAME" in (
        str(done.exception)
    )
    assert not (folder / "shop.toml").exists()
    config = made(folder, "--column", "user=a", "--column", "item=b")
    assert (config.interactions.columns.user, config.interactions.columns.item) == ("a", "b")


@pytest.mark.parametrize(
    ("told", "complaint"),
    [("user=nobody", "no column 'nobody'"), ("users=a", "not ROLE=NAME"), ("user", "not ROLE")],
)
def test_a_wrong_column_is_one_clear_message(folder: Path, told: str, complaint: str) -> None:
    done = init(folder, "--column", told)
    assert isinstance(done.exception, UserError)
    assert complaint in str(done.exception)


def test_an_id_of_no_telling_name_is_found_by_what_the_log_names(folder: Path) -> None:
    things = pl.read_csv(folder / "catalogue.csv").rename({"productId": "x", "price": "y"})
    things.write_csv(folder / "catalogue.csv")
    config = made(folder, "--items", str(folder / "catalogue.csv"))
    assert config.items is not None
    assert config.items.columns.item == "x"


def test_a_time_that_a_run_would_not_understand_is_said(folder: Path) -> None:
    rows = [("user", "item", "timestamp"), *(("u", f"i{n}", "4th of May") for n in range(5))]
    write_csv(folder / "clicks.csv", rows)
    assert "'timestamp' is not understood: set time_format" in init(folder).output
    assert "# time_format = " in (folder / "shop.toml").read_text()


def test_a_file_that_is_not_utf_8_is_said(folder: Path) -> None:
    rows = "".join(f"Jürgen{n};Töpfe{n};2025-01-0{n}\n" for n in range(1, 9))
    (folder / "clicks.csv").write_bytes(f"user;item;time\n{rows}".encode("latin-1"))
    done = init(folder)
    assert isinstance(done.exception, UserError)
    assert "clicks.csv: of the first rows none can be used: 8 broken_utf8" in str(done.exception)
    assert "UTF-8" in str(done.exception)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_row_is_not_taken_for_a_header_that_is_not_utf_8(folder: Path, encoding: str) -> None:
    rows = "".join(f"u{n};i{n};{n};M\n" for n in range(1, 9))
    (folder / "clicks.csv").write_bytes(f"user;item;time;Größe\n{rows}".encode(encoding))
    done = init(folder)
    assert isinstance(done.exception, UserError)
    assert "clicks.csv: the header is not UTF-8. Save the file as UTF-8" in str(done.exception)


def test_rows_that_a_run_would_reject_are_said(folder: Path) -> None:
    rows = "".join(f"u{n};Töpfe{n};{n}\n" if n % 2 else f"u{n};i{n};{n}\n" for n in range(8))
    (folder / "clicks.csv").write_bytes(f"user;item;timestamp\n{rows}".encode("latin-1"))
    assert "of the first rows 4 cannot be used: 4 broken_utf8" in init(folder).output


@pytest.mark.parametrize("file", ["clicks.csv", "catalogue.csv"])
def test_a_file_of_a_header_alone_is_said(folder: Path, file: str) -> None:
    (folder / file).write_text("user,item,timestamp\n")
    done = init(folder, "--items", str(folder / "catalogue.csv"))
    assert isinstance(done.exception, UserError)
    assert f"{file} has no rows to look at" in str(done.exception)


def test_what_is_nested_is_no_text(folder: Path) -> None:
    """A run reads nothing of it."""
    things = [
        {
            "sku": f"S{n}",
            "name": f"Thing {n}",
            "price": {"amount": n, "currency": "EUR", "vat": 7},
            "kinds": [{"name": f"A kind of thing {n % 3}"}],
        }
        for n in range(9)
    ]
    (folder / "catalogue.jsonl").write_text("\n".join(map(json.dumps, things)))
    said = init(folder, "--items", str(folder / "catalogue.jsonl")).output
    assert "catalogue.jsonl: price holds objects, of which nothing is read" in said
    items = load(folder / "shop.toml").items
    assert items is not None
    assert items.columns.text == ("name",)


@pytest.mark.parametrize(
    ("dates", "written"),
    [
        (["04.08.2025 14:30", "31.12.2025 00:00"], "%d.%m.%Y %H:%M"),
        (["12/1/2010 8:26", "12/13/2010 18:26"], "%m/%d/%Y %H:%M"),
        (["1/12/2010", "13/12/2010"], "%d/%m/%Y"),
        (["1/12/10 1:05 PM", "13/12/10 11:05 AM"], "%d/%m/%y %I:%M %p"),
        (["2025/08/04 14:30:05", "2025/12/31 00:00:00"], "%Y/%m/%d %H:%M:%S%.f"),
        (["20250804", "20251231"], "%Y%m%d"),
        (["20250804143005", "20251231000000"], "%Y%m%d%H%M%S"),
        (["45292.604167", "45293"], "excel"),
        (["45292,604167", "45293"], "excel"),
        (["2025-08-04 14:30", "2025-12-31"], "auto"),
        (["1700000000", "1700000001"], "auto"),
    ],
)
def test_how_times_are_written_is_found_by_reading_them(
    folder: Path, dates: list[str], written: str
) -> None:
    rows = [("user", "item", "Datum"), *((f"u{n}", f"i{n}", dates[n % 2]) for n in range(6))]
    write_csv(folder / "clicks.csv", rows, ";")
    log = made(folder, "--column", "time=Datum").interactions
    assert (log.columns.time, log.time_format) == ("Datum", written)


def test_a_time_of_no_telling_name_is_found_by_what_it_holds(folder: Path) -> None:
    rows = [("user", "item", "Datum", "n"), *((f"u{n}", f"i{n}", "31.12.2025", n) for n in (1, 2))]
    write_csv(folder / "clicks.csv", rows)
    assert made(folder).interactions.columns.time == "Datum"
    write_csv(folder / "clicks.csv", [(*rows[0], "born"), *((*row, row[2]) for row in rows[1:])])
    (folder / "shop.toml").unlink()
    output = init(folder).output
    assert "any of Datum, born may be the time: say --column time=NAME" in output


def test_days_that_may_be_months_are_left_to_the_user(folder: Path) -> None:
    rows = [("user", "item", "date"), *(("u", f"i{n}", f"0{n}/02/2025") for n in range(1, 9))]
    write_csv(folder / "clicks.csv", rows)
    assert "'date' is read by %d/%m/%Y and %m/%d/%Y: set time_format" in init(folder).output
    text = (folder / "shop.toml").read_text()
    assert '# time_format = "%d/%m/%Y"\n# time_format = "%m/%d/%Y"' in text
    with pytest.raises(UserError, match=r"Say how times are written: interactions\.time_format"):
        Pipeline(load(folder / "shop.toml"), STAGES).run("prepare")


def test_a_log_without_times_is_said(folder: Path) -> None:
    write_csv(folder / "clicks.csv", [("user", "item", "at"), ("u1", "i1", "x"), ("u2", "i1", "y")])
    assert "no column looks like the time" in init(folder).output
    assert load(folder / "shop.toml").interactions.columns.time is None


def test_an_item_of_no_telling_name_is_what_the_catalogue_lists(folder: Path) -> None:
    clicks = pl.read_csv(folder / "clicks.csv", separator=";")
    clicks.rename({"sku": "Artikel", "score": "Menge"}).write_csv(folder / "clicks.csv")
    things = pl.read_csv(folder / "catalogue.csv").rename({"product name": "Bezeichnung"})
    things.with_row_index("Rang").write_csv(folder / "catalogue.csv")
    config = made(folder, "--items", str(folder / "catalogue.csv"))
    assert config.interactions.columns.item == "Artikel"
    assert config.items is not None
    assert config.items.columns.title == "Description"  # the shortest text that there is


def test_other_formats_are_recognised(folder: Path) -> None:
    log = [
        {"userId": f"u{n % 9}", "itemId": f"i{n % 7}", "ts": 1_700_000_000 + n} for n in range(9)
    ]
    (folder / "clicks.csv").rename(folder / "old")
    (folder / "clicks.csv").write_text("\n".join(map(json.dumps, log)))
    jsonl = folder / "clicks.jsonl"
    (folder / "clicks.csv").rename(jsonl)
    done = RUNNER.invoke(app, ["init", str(folder / "a.toml"), "--interactions", str(jsonl)])
    assert done.exit_code == 0, done.exception
    columns = load(folder / "a.toml").interactions.columns
    assert (columns.user, columns.item, columns.time) == ("userId", "itemId", "ts")
    sequences = folder / "sequences.txt"
    sequences.write_text("u1 i1 i2 i3\nu2 i2 i3\n")
    done = RUNNER.invoke(app, ["init", str(folder / "b.toml"), "--interactions", str(sequences)])
    assert done.exit_code == 0, done.exception
    assert load(folder / "b.toml").interactions.format == "sequences"


def test_types_of_no_telling_name_are_pointed_out(folder: Path) -> None:
    kinds = ('"an\nsicht"', "kauf")  # a comment is one line
    rows = [
        ("user", "item", "time", "Ereignis"),
        *(("u", f"i{n}", n, kinds[n % 2]) for n in (1, 2)),
    ]
    write_csv(folder / "clicks.csv", rows)
    assert made(folder).interactions.columns.type is None
    text = (folder / "shop.toml").read_text()
    assert '# columns.type = "Ereignis"  # if it says what was done: kauf, an sicht' in text


def test_where_types_are_told_a_view_that_ends_in_a_purchase_is_one_step(folder: Path) -> None:
    kinds = ("view", "purchase")
    rows = [("user", "item", "time", "type"), *(("u", f"i{n}", n, kinds[n % 2]) for n in (1, 2))]
    write_csv(folder / "clicks.csv", rows)
    assert made(folder).filter.deduplicate == "consecutive"


def in_a_folder(folder: Path, files: dict[str, str]) -> str:
    """What the command says of these files in place of the log."""
    (folder / "clicks.csv").unlink()
    for name, content in files.items():
        (path := folder / "clicks.csv" / name).parent.mkdir(exist_ok=True)
        path.write_text(content)
    return " ".join(f"{(done := init(folder)).output} {done.exception or ''}".split())


def test_all_files_of_a_folder_are_looked_at(folder: Path) -> None:
    """The first day's may be unlike those that came after it."""
    said = in_a_folder(
        folder,
        {
            "1.csv": "user,item,time,source,action\nu,i,1,web,view\n",
            "2.csv": "user,item,time,action\nu,i,2,purchase\n",
        },
    )
    assert "2.csv has no column source, which other files have" in said
    columns = load(folder / "shop.toml").interactions.columns
    assert (columns.user, columns.type) == ("user", "action")
    assert '# "purchase" = 4' in (folder / "shop.toml").read_text()


def test_an_id_that_some_files_call_otherwise_is_said(folder: Path) -> None:
    said = in_a_folder(
        folder, {"1.csv": "user,item,time\nu,i,1\n", "2.csv": "customer,item,time\nu,i,2\n"}
    )
    assert "no column looks like the user. Its columns are: item, time" in said
    assert "1.csv has no column customer, which other files have" in said


def test_files_of_other_separators_are_said(folder: Path) -> None:
    said = in_a_folder(
        folder, {"1.csv": "user;item;time\nu;i;1\n", "2.csv": "user,item,time\nu,i,2\n"}
    )
    assert "2.csv: columns are separated by ',', in " in said


def test_what_json_objects_of_later_files_have_is_looked_at(folder: Path) -> None:
    things = [{"sku": "S1", "name": "One"}, {"sku": "S2", "name": "Two", "about": "All of it is"}]
    for thing in things:
        (path := folder / "things" / f"{thing['sku']}.jsonl").parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(thing))
    items = made(folder, "--items", str(folder / "things")).items
    assert items is not None
    assert items.columns.text == ("name", "about")


def test_times_of_several_kinds_are_looked_at(folder: Path) -> None:
    """Parquet files, of which the first has dates and the others have texts."""
    (folder / "clicks.csv").unlink()
    (folder / "clicks.csv").mkdir()
    rows = pl.DataFrame({"user": ["u"], "item": ["i"], "time": ["2024-05-06 07:08"]})
    rows.with_columns(pl.col("time").str.to_datetime()).write_parquet(folder / "clicks.csv/1.pq")
    rows.write_parquet(folder / "clicks.csv/2.pq")
    assert made(folder).interactions.columns.time == "time"
