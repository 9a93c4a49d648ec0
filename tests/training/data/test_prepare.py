"""The stage as a whole: what it writes, that it is deterministic, and what it refuses."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.simulated_shop import Shop
from tests.training.data.preparing import GOOD_CSV, config, run, write
from training.data.dataset import PreparedDataset
from training.data.histories import Part, targets
from training.data.item_files import ItemFiles
from training.data.prepare import prepare
from training.errors import UserError

FILES = ("interactions.parquet", "items.parquet", "users.parquet", "rejects.jsonl", "dataset.json")


def test_the_simulated_shop_is_prepared_as_it_was_made_up(shop: Shop, tmp_path: Path) -> None:
    settings = config(shop.interactions, items={"path": shop.items})
    card = prepare(settings, tmp_path)
    data = PreparedDataset.load(tmp_path)
    ids = data.items["item_id"].to_list()
    assert ids == sorted(set(shop.item_ids) - shop.never_bought)
    users = pl.read_parquet(tmp_path / "users.parquet")["user_id"].to_list()
    for user, user_id in enumerate(users):
        truth = shop.histories[int(user_id.removeprefix("user-"))]
        assert [ids[at] for at in data.histories[user]] == [shop.item_ids[at] for at in truth]
    assert (
        set(data.items.filter(pl.col("text").is_null())["item_id"]) == set(ids) & shop.without_text
    )
    assert settings.items is not None
    there = ItemFiles(settings.items).located(data.items)
    assert (
        set(there.filter(pl.col("image_path").is_null())["item_id"])
        == set(ids) & shop.without_picture
    )
    assert card.content.left_out == len(shop.never_bought)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_columns_and_types_are_the_contract(shop: Shop, tmp_path: Path) -> None:
    prepare(config(shop.interactions, items={"path": shop.items}), tmp_path)
    assert pl.read_parquet_schema(tmp_path / "interactions.parquet") == {
        "user_index": pl.UInt32,
        "item_index": pl.UInt32,
        "timestamp": pl.Int64,
        "part": pl.UInt8,
    }
    assert pl.read_parquet_schema(tmp_path / "items.parquet") == {
        "item_index": pl.UInt32,
        "item_id": pl.String,
        "title": pl.String,
        "text": pl.String,
        "attributes": pl.String,
        "picture": pl.String,
        "image_path": pl.String,
        "image_bytes": pl.Binary,
    }
    log = pl.read_parquet(tmp_path / "interactions.parquet")
    assert log["user_index"].is_sorted()
    assert log.group_by("user_index").agg(pl.col("part").diff().min() >= 0)["part"].all()


@pytest.mark.parametrize("ties", ["file", "shuffle"])
def test_the_same_input_gives_the_same_bytes(shop: Shop, tmp_path: Path, ties: str) -> None:
    settings = config(
        shop.interactions, items={"path": shop.items}, split={"ties": ties}, filter={"k_core": 5}
    )
    for name in ("one", "other"):
        prepare(settings, tmp_path / name)
    for file in FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_ties_stay_in_file_order_or_are_shuffled_by_the_seed(tmp_path: Path) -> None:
    items = [f"i{n * 7 % 40}" for n in range(40)]
    rows = "".join(f"u,{item},5\n" for item in items)
    log = write(tmp_path / "log.csv", "user,item,time\n" + rows)
    assert run(log).history("u") == items
    one, same, other = (
        run(log, split={"ties": "shuffle"}, seed=seed).history("u") for seed in (1, 1, 2)
    )
    assert one == same != other
    assert sorted(one) == sorted(other) == sorted(items)


def test_every_interaction_is_accounted_for(tmp_path: Path) -> None:
    rows = [
        ("u", "a", 1, 5),
        ("u", "a", 2, 5),
        ("u", "b", 3, 1),
        ("u", "b", 4, 5),
        ("u", "a", 5, 5),
    ]
    rows += [("v", item, time, 5) for time, item in enumerate("abab")]
    rows += [("w", "rare", 1, 5), ("", "a", 1, 5)]
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    log = write(tmp_path / "log.csv", "user,item,time,rating\n" + text)
    prepared = run(
        log,
        recommend="all",
        interactions={"min_rating": 2},
        filter={"deduplicate": "consecutive", "k_core": 2, "max_history": 3},
    )
    card = prepared.card
    assert card.interactions_source.rejected == {"missing_user_id": 1}
    assert card.removed.model_dump() == {
        "min_rating": 1,
        "listed": 0,
        "events": 0,
        "deduplicate": 1,
        "k_core": 1,
        "max_history": 1,
    }
    assert prepared.history("u") == ["a", "b", "a"]
    assert prepared.history("v") == ["b", "a", "b"]
    assert card.interactions + 5 == card.interactions_source.rows


def test_what_the_catalogue_lists_no_more_may_be_left_out(tmp_path: Path) -> None:
    rows = ["u,a,1,view", "u,gone,2,view", "u,b,3,view", "u,c,4,view", "u,c,5,noise"]
    log = write(tmp_path / "log.csv", "\n".join(["user,item,time,type", *rows]) + "\n")
    items = write(tmp_path / "items.csv", "item_id,title\na,A\nb,B\nc,C\nd,D\n")
    asked = {"items": {"path": items}, "events": {"view": 1.0}}
    whole, prepared = run(log, **asked), run(log, filter={"listed": True}, **asked)
    assert whole.history("u") == ["a", "gone", "b", "c"]
    assert whole.card.content.undescribed == 1
    assert prepared.history("u") == ["a", "b", "c"]
    assert prepared.card.content.undescribed == 0
    assert (prepared.card.removed.listed, prepared.card.removed.events) == (1, 1)
    with pytest.raises(ValueError, match=r"filter.listed needs \[items\]"):
        config(log, filter={"listed": True})


def test_what_is_left_out_leaves_the_files_order(tmp_path: Path) -> None:
    """Of parts that are read beside each other."""
    users, steps = 12_000, 40
    rows = np.arange(users * steps)
    log = pl.DataFrame({"user": rows % users, "item": 100 + rows // users}).cast(pl.String)
    log.write_parquet(tmp_path / "log.parquet", row_group_size=20_000)
    listed = "".join(f"{100 + n}\n" for n in range(steps) if n % 5)
    items = write(tmp_path / "items.csv", f"item_id\n{listed}")
    prepared = run(tmp_path / "log.parquet", items={"path": items}, filter={"listed": True})
    items_US = prepared.data.histories.items.reshape(users, -1)
    assert (items_US == np.arange(items_US.shape[1])).all()


def test_deduplicate_all_keeps_a_users_first(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user,item,time\nu,a,3\nu,b,2\nu,a,1\nu,c,4\nu,b,5\n")
    prepared = run(log, filter={"deduplicate": "all"})
    assert prepared.history("u") == ["a", "b", "c"]
    assert prepared.triples[0] == ("u", "a", 1)


def test_where_users_are_sessions_their_second_step_is_held_out(tmp_path: Path) -> None:
    """None goes on from one part to the next."""
    rows = [f"s{n // 3},{'abcde'[n % 5]},{n}" for n in range(60)]
    log = write(tmp_path / "log.csv", "\n".join(["user,item,time", *rows]) + "\n")
    prepared = run(log, split={"kind": "temporal", "validation_share": 0.1, "test_share": 0.1})
    test = targets(prepared.data.histories, Part.TEST)
    assert prepared.card.split.evaluated_users == {"validation": 2, "test": 2}
    assert test.length.tolist() == [1, 1]
    assert test.target.tolist() == prepared.data.histories.items[test.start + 1].tolist()


def test_a_temporal_split_is_described(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 3},i{n},{1000 + n}\n" for n in range(30))
    log = write(tmp_path / "log.csv", "user,item,time\n" + rows)
    prepared = run(log, split={"kind": "temporal", "validation_share": 0.2, "test_share": 0.1})
    card = prepared.card.split
    assert (card.validation_from, card.test_from) == (1021, 1027)
    assert card.interactions == {"train": 21, "validation": 6, "test": 3}
    assert card.evaluated_users == {"validation": 3, "test": 3}
    held_out = targets(prepared.data.histories, Part.TEST)
    assert Counter(held_out.length.tolist()) == {9: 3}
    assert "2" not in prepared.log.filter(pl.col("timestamp") < 1021)["part"].cast(pl.String)


def test_before_1970_is_a_time_too(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user,item,time\nu,c,0\nu,b,-1.5\nu,a,-100\n")
    assert run(log).triples == [("u", "a", -100), ("u", "b", -2), ("u", "c", 0)]


def test_an_ids_own_quotes_and_signs_survive(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", 'user,item\nü,"a,b"\nü,"say ""hi"""\nü,日本\n')
    assert run(log).history("ü") == ["a,b", 'say "hi"', "日本"]


@pytest.mark.parametrize(
    ("content", "sections", "needle"),
    [
        ("user,item\nu,a\nu,b\nu,c\n", {"split": {"kind": "temporal"}}, "needs times"),
        (GOOD_CSV, {"filter": {"k_core": 5}}, r"k_core = 5 the other 3"),
        (GOOD_CSV, {"interactions": {"min_rating": 3}}, "no column for the rating"),
        ("user,item\n", {}, "no interaction"),
        ("user,item\nu,a\nu,b\n", {}, "no user has enough interactions"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, content: str, sections: dict[str, object], needle: str
) -> None:
    with pytest.raises(UserError, match=needle):
        run(write(tmp_path / "log.csv", content), **sections)


def test_an_unprepared_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `prepare` first"):
        PreparedDataset.load(tmp_path)
