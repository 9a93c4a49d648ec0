"""The catalogue: every format, text and pictures, what is missing, what is left out."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.training.data.preparing import GOOD_CSV, Prepared, config, run, write
from training.config import ItemsConfig
from training.data.item_files import ItemFiles
from training.errors import UserError
from training.run import prepare as stage


def prepare_items(tmp_path: Path, name: str, content: str | bytes, **options: Any) -> Prepared:
    """A log of items a, b and c, and a catalogue."""
    items = write(tmp_path / "shop" / name, content)
    log = write(tmp_path / "log.csv", GOOD_CSV)
    return run(log, items={"path": items} | options)


def test_attributes_travel_as_given(tmp_path: Path) -> None:
    prepared = prepare_items(
        tmp_path,
        "items.csv",
        "item_id,title,brand,tags\na,Red,Acme & Co,17 red\nb,Acme,,\n",
        columns={"text": ["title"], "attributes": ["brand", "tags"]},
    )
    assert json.loads(prepared.item("a")["attributes"]) == {"brand": "Acme & Co", "tags": "17 red"}
    assert prepared.item("a")["text"] == "Red"
    assert prepared.item("b")["attributes"] is None


def test_attributes_keep_numbers_and_lists(tmp_path: Path) -> None:
    rows = [
        {"item_id": "a", "tags": ["x", ["y z", None]], "price": 1.5, "new": True, "size": ""},
        {"item_id": "b", "tags": [], "price": None, "new": {"no": 1}},
    ]
    prepared = prepare_items(
        tmp_path,
        "items.jsonl",
        "".join(json.dumps(row) + "\n" for row in rows),
        columns={"attributes": ["tags", "price", "new", "size"]},
    )
    given = {"tags": ["x", "y z"], "price": 1.5, "new": True}
    assert json.loads(prepared.item("a")["attributes"]) == given
    assert prepared.item("b")["attributes"] is None


@pytest.mark.parametrize(
    "ids", [[b"a", b"b", b"c"], [Decimal("7.00"), Decimal("70.00"), Decimal("8.00")]]
)
def test_ids_of_a_log_and_a_catalogue_meet_whatever_wrote_them(
    tmp_path: Path, ids: list[Any]
) -> None:
    """Texts that a writer calls bytes, and whole numbers of a database's decimals."""
    log, items = tmp_path / "log.parquet", tmp_path / "items.parquet"
    names = [each.decode() if isinstance(each, bytes) else f"{each:.0f}" for each in ids]
    for told in (ids, names):
        pl.DataFrame({"user_id": ["u"] * 3, "item_id": ids, "timestamp": [1, 2, 3]}).write_parquet(
            log
        )
        pl.DataFrame({"item_id": told, "title": names}).write_parquet(items)
        prepared = run(log, items={"path": items})
        assert prepared.history("u") == names
        assert prepared.card.content.undescribed == 0


NESTED: list[dict[str, Any]] = [
    {"item_id": "a", "title": "A", "price": {"amount": 5}, "tags": ["x"]},
    {"item_id": "b", "title": "B", "price": {"amount": 7}, "tags": ["y", {"of": "z"}]},
]


@pytest.mark.parametrize("name", ["items.jsonl", "items.parquet"])
def test_a_column_of_objects_does_not_vanish_without_a_word(tmp_path: Path, name: str) -> None:
    file = tmp_path / "shop" / name
    file.parent.mkdir()
    if name.endswith("parquet"):
        pl.DataFrame([row | {"tags": None} for row in NESTED]).write_parquet(file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in NESTED))
    for asked in ({"attributes": ["price"]}, {"text": ["title", "price"]}):
        with pytest.raises(UserError, match=r"'price', which holds.*line 1: \{'amount': 5\}"):
            prepare_items(tmp_path, name, file.read_bytes(), columns=asked)


def test_what_is_nested_beside_what_can_be_read_is_counted(tmp_path: Path) -> None:
    content = "".join(json.dumps(row) + "\n" for row in NESTED)
    columns = {"attributes": ["tags"]}
    prepared = prepare_items(tmp_path, "items.jsonl", content, columns=columns)
    assert json.loads(prepared.item("b")["attributes"]) == {"tags": ["y"]}
    source = prepared.card.items_source
    assert source is not None
    assert source.unread == {"tags": 1}
    items = {"path": tmp_path / "shop/items.jsonl", "columns": columns}
    told = config(tmp_path / "log.csv", items=items)
    assert "; not read: 1 objects or bytes in 'tags'" in stage.run(told, tmp_path / "said")


def test_text_columns_are_joined_in_order(tmp_path: Path) -> None:
    prepared = prepare_items(
        tmp_path,
        "items.csv",
        'sku,name,kind,more\na,"Apple, red",fruit,sweet\nb,Bread,,\nx,Xylophone,toy,\n',
        columns={"item": "sku", "title": "name", "text": ["more", "name", "kind"]},
    )
    assert prepared.item("a")["title"] == "Apple, red"
    assert prepared.item("a")["text"] == "sweet\nApple, red\nfruit"
    assert prepared.item("b")["text"] == "Bread"
    assert prepared.item("c") | {"item_index": 0} == {
        "item_index": 0,
        "item_id": "c",
        "title": None,
        "text": None,
        "attributes": None,
        "picture": None,
        "image_path": None,
        "image_bytes": None,
    }
    card = prepared.card
    assert card.items == 3
    columns = {"title": "name", "text": ("more", "name", "kind"), "attributes": ()}
    assert card.content.model_dump() == {
        "columns": columns,
        "title": 2,
        "text": 2,
        "image": 0,
        "undescribed": 1,
        "such_as": "c",
        "unseen": 0,
        "left_out": 1,
    }


def test_items_of_the_log_that_the_catalogue_lacks_are_told(tmp_path: Path) -> None:
    log, items = write(tmp_path / "log.csv", GOOD_CSV), tmp_path / "items.csv"
    told = config(log, items={"path": items, "keep_unseen": True})
    write(items, "item_id,title\na,A\nx,X\ny,Y\n")
    assert "; 2 of 3 items of the log are not in the catalogue, such as 'b'" in (
        stage.run(told, tmp_path / "said")
    )
    write(items, "item_id,title\na,A\nb,B\nc,C\nx,X\n")
    assert "catalogue" not in stage.run(told, tmp_path / "said")


@pytest.mark.parametrize("broken", ["item_id", "title"])
def test_a_parquet_file_that_calls_bytes_text_is_named_with_the_column(
    tmp_path: Path, broken: str
) -> None:
    row = {"item_id": "a", "title": "b"} | {broken: "caf@@"}
    (tmp_path / "shop").mkdir()
    pl.DataFrame([row]).write_parquet(file := tmp_path / "shop/items.parquet", statistics=False)
    content = file.read_bytes().replace(b"caf@@", b"caf\xe9@")
    with pytest.raises(UserError, match=f"items.parquet cannot be read: '{broken}': its texts are"):
        prepare_items(tmp_path, "items.parquet", content)


def test_bytes_that_are_no_utf_8_are_no_id(tmp_path: Path) -> None:
    ids = [b"a", "café".encode("latin-1"), b"c", b" "]
    (tmp_path / "shop").mkdir()
    pl.DataFrame({"item_id": ids}).write_parquet(file := tmp_path / "shop/items.parquet")
    prepared = prepare_items(tmp_path, "items.parquet", file.read_bytes())
    assert prepared.bad == [
        ("items.parquet", 2, "broken_utf8"),
        ("items.parquet", 4, "missing_item_id"),
    ]


def test_items_that_nobody_bought_are_kept_when_asked(tmp_path: Path) -> None:
    content = "item_id,title\nx,Xylophone\nb,Bread\naa,Avocado\n"
    prepared = prepare_items(tmp_path, "items.csv", content, keep_unseen=True)
    assert prepared.data.items["item_id"].to_list() == ["a", "aa", "b", "c", "x"]
    assert prepared.data.items["item_index"].to_list() == list(range(5))
    assert prepared.history("007") == ["a", "b", "c"]
    assert (prepared.card.content.unseen, prepared.card.content.left_out) == (2, 0)


def test_the_first_of_duplicate_items_counts(tmp_path: Path) -> None:
    content = "item_id,title\na,one\n,none\na,two\n a ,three\n"
    prepared = prepare_items(tmp_path, "items.csv", content)
    assert prepared.item("a")["title"] == "one"
    assert prepared.bad == [
        ("items.csv", 3, "missing_item_id"),
        ("items.csv", 4, "duplicate_item"),
        ("items.csv", 5, "duplicate_item"),
    ]


def test_bad_items_stop_the_run_past_the_share(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", GOOD_CSV)
    items = write(tmp_path / "items.csv", "item_id\na\na\n")
    with pytest.raises(UserError, match="1 of 2 rows of the items"):
        run(log, items={"path": items}, filter={"max_reject_share": 0.4})


def test_recbole_movielens_and_amazon_catalogues(tmp_path: Path) -> None:
    recbole = (
        "item_id:token\tmovie_title:token_seq\tclass:token_seq\na\tToy Story\tAnimation Comedy\n"
    )
    million = "a::Café au lait (1994)::Comedy|Drama\n".encode("latin-1")
    flags = "|".join("1" if at in (1, 5) else "0" for at in range(19))
    hundred = f"a|Café (1995)|01-Jan-1995||http://x|{flags}\n".encode("latin-1")
    older = (
        "{'asin': 'a', 'title': \"It's\", 'categories': [['Toys', 'Games']], 'imUrl': 'http://x'}\n"
    )
    newer = {
        "parent_asin": "a",
        "title": "Lamp",
        "store": "Lux",
        "categories": ["Home", "Light"],
        "features": [],
        "description": ["Bright.", "Warm."],
        "images": [{"large": "http://x"}],
    }
    for name, content, options, title, text in (
        ("x.item", recbole, {}, "Toy Story", "Toy Story\nAnimation Comedy"),
        ("movies.dat", million, {}, "Café au lait (1994)", "Café au lait (1994)\nComedy|Drama"),
        ("u.item", hundred, {}, "Café (1995)", "Café (1995)\nAction, Comedy"),
        ("meta_Toys.json", older, {"format": "amazon"}, "It's", "It's\nToys, Games"),
        (
            "meta_Home.jsonl.gz",
            gzip.compress(json.dumps(newer).encode()),
            {},
            "Lamp",
            "Lamp\nLux\nHome, Light\nBright., Warm.",
        ),
    ):
        prepared = prepare_items(tmp_path, name, content, **options)
        assert prepared.bad == []
        assert prepared.item("a")["title"] == title
        assert prepared.item("a")["text"] == text
        assert prepared.card.content.image == 0


def test_pictures_by_template_and_by_column(tmp_path: Path) -> None:
    write(tmp_path / "shop/posters/a.jpg", "picture")
    write(tmp_path / "log.jpg", "not below posters")
    content = "item_id,image\na,\nb,posters/a.jpg\nc,https://example.org/c.jpg\n../../log,\n"
    options = {"image_template": "posters/{item_id}.jpg", "keep_unseen": True}
    by_template = prepare_items(tmp_path, "items.csv", content, **options)
    found = dict(by_template.data.items.select("item_id", "image_path").iter_rows())
    names = {item_id: f"posters/{item_id}.jpg" for item_id in "abc"}
    assert found == names | {"../../log": None}
    by_column = prepare_items(tmp_path, "items.csv", content, columns={"image": "image"})
    found = dict(by_column.data.items.select("item_id", "image_path").iter_rows())
    assert found == {"a": None, "b": "posters/a.jpg", "c": None}
    assert by_column.card.content.image == 1


def test_pages_get_a_reference_to_the_picture(tmp_path: Path) -> None:
    write(tmp_path / "shop/posters/a.jpg", "picture")
    absolute = tmp_path / "shop/posters/a.jpg"
    content = f"item_id,image\na,\nb,{absolute}\nc,https://example.org/c.jpg\n"
    options = {"image_template": "posters/{item_id}.jpg", "columns": {"image": "image"}}
    items = prepare_items(tmp_path, "items.csv", content, **options).data.items
    found = dict(items.select("item_id", "picture").iter_rows())
    assert found == {"a": "posters/a.jpg", "b": "posters/a.jpg", "c": "https://example.org/c.jpg"}


@pytest.mark.parametrize("column", ["image", "clip"])
@pytest.mark.parametrize(
    "name", ["../secret.jpg", "{outside}", "link.jpg", "linked/secret.jpg", "x/../../secret.jpg"]
)
def test_a_row_that_climbs_out_of_the_items_folder_is_refused(
    tmp_path: Path, name: str, column: str
) -> None:
    secret = write(tmp_path / "secret.jpg", "not for the service")
    write(tmp_path / "shop/b.jpg", "picture")
    (tmp_path / "shop/link.jpg").symlink_to(secret)
    (tmp_path / "shop/linked").symlink_to(tmp_path)
    content = f"item_id,file\na,{name.format(outside=secret)}\nb,b.jpg\n"
    columns = {"image": "file"} if column == "image" else {"files": {"audio": "file"}}
    prepared = prepare_items(tmp_path, "items.csv", content, columns=columns)
    assert prepared.bad == [("items.csv", 2, "file_outside_folder")]
    path = "image_path" if column == "image" else "audio_path"
    assert prepared.item("a")[path] is None
    assert prepared.item("b")[path] == "b.jpg"


def test_a_file_is_looked_for_when_it_is_read(tmp_path: Path) -> None:
    """It may come after the item file, and so may a link that leads out."""
    content = "item_id,image_path,clip\na,pictures/a.jpg,\nb,,clips/b.mp3\nc,,clips/c.mp3\n"
    template = "{item_id}/main.jpg"
    options = {"image_template": template, "columns": {"files": {"audio": "clip"}}}
    prepared = prepare_items(tmp_path, "items.csv", content, **options)
    files = ItemFiles(ItemsConfig(path=tmp_path / "shop/items.csv", image_template=template))
    found = files.located(prepared.data.items)
    assert found.select("image_path", "audio_path").null_count().row(0) == (3, 3)
    secret = write(tmp_path / "secret.mp3", "not for the service")
    here = [write(tmp_path / "shop" / name, "x") for name in ("pictures/a.jpg", "b/main.jpg")]
    clip = write(tmp_path / "shop/clips/b.mp3", "x")
    (tmp_path / "shop/clips/c.mp3").symlink_to(secret)
    found = files.located(prepared.data.items)
    assert found["image_path"].to_list() == [*(str(path.resolve()) for path in here), None]
    assert found["audio_path"].to_list() == [None, str(clip.resolve()), None]


def test_a_zero_byte_in_an_id_is_bad(tmp_path: Path) -> None:
    content = '{"item_id": "a\\u0000b"}\n{"item_id": 2.5, "title": "half"}\n{"item_id": true}\n'
    prepared = prepare_items(tmp_path, "items.jsonl", content, keep_unseen=True)
    assert prepared.bad == [
        ("items.jsonl", 1, "zero_byte_in_id"),
        ("items.jsonl", 3, "missing_item_id"),
    ]
    assert prepared.item("2.5")["title"] == "half"  # as a log names it


def test_bytes_of_pictures_are_read_only_when_asked_for(tmp_path: Path) -> None:
    prepared = prepare_items(tmp_path, "items.csv", "item_id\na\n")
    assert {*prepared.data.contents().columns} - {*prepared.data.items.columns} == {"image_bytes"}


def test_pictures_inside_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "item_id": ["b", "a", None],
            "title": ["Bread", None, "?"],
            "tags": [["x", "y"], [], None],
            "picture": [b"\x89PNG", b"", None],
        }
    )
    (tmp_path / "shop").mkdir()
    frame.write_parquet(tmp_path / "shop/items.parquet")
    log = write(tmp_path / "log.csv", GOOD_CSV)
    columns = {"image": "picture", "text": ["title", "tags"]}
    prepared = run(log, items={"path": tmp_path / "shop", "columns": columns})
    assert prepared.item("b")["image_bytes"] == b"\x89PNG"
    assert prepared.item("b")["text"] == "Bread\nx, y"
    assert prepared.item("a")["image_bytes"] is None
    assert prepared.item("a")["text"] is None
    assert prepared.bad == [("items.parquet", 3, "missing_item_id")]


def test_a_missing_item_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'plot'.*items\.columns\.text.*item_id, title"):
        prepare_items(tmp_path, "items.csv", "item_id,title\na,A\n", columns={"text": ["plot"]})
