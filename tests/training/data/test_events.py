"""Types of interactions: what each counts, what is not learned, and what the service has stored."""

from pathlib import Path

import numpy as np
import pytest
import torch

from service.events.event_log import EVENT_LOG
from service.events.record import Record
from service.events.store import open_store
from service.events.storing import Storing
from service.log.file_log import FileLog
from tests.service.events.made import NOON, answer, event
from tests.training.data.preparing import config, run, write
from training.data.batches import TrainingBatches, training_windows
from training.data.prepare import prepare
from training.errors import UserError
from training.fit.resident import Resident
from training.run import prepare as stage

HEAD = "user_id,item_id,timestamp,type\n"
SHOP = HEAD + (
    "ada,soap,1,view\nada,soap,2,purchase\nada,comb,3,view\nada,brush,4,view\nada,brush,5,dislike\n"
    "ada,towel,6,dislike\nada,towel,7,like\nada,razor,8,impression\n"
)
WEIGHTS = {"purchase": 4.0, "view": 1.0, "like": 2.0, "dislike": -1.0}


def test_each_type_counts_as_it_is_told(tmp_path: Path) -> None:
    done = run(write(tmp_path / "log.csv", SHOP), events=WEIGHTS, filter={"deduplicate": "all"})
    assert done.history("ada") == ["soap", "comb", "towel"]
    assert done.log["weight"].to_list() == [4.0, 1.0, 2.0]
    assert (done.card.removed.events, done.card.removed.deduplicate) == (4, 1)
    assert done.data.histories.weights is not None


def test_types_that_are_not_named_are_told_with_their_rows(tmp_path: Path) -> None:
    """A misspelt name would else leave all purchases out, and nobody would know."""
    rows = "ada,soap,9,wishlist\nada,comb,9,impression\nada,comb,10,\n"
    log = write(tmp_path / "log.csv", SHOP + rows)
    assert run(log, events=WEIGHTS).card.unnamed == {"impression": 2, "": 1, "wishlist": 1}
    said = stage.run(config(log, events=WEIGHTS), tmp_path / "said")
    assert "7 by events (not named there: 2 of 'impression', 1 of '', 1 of 'wishlist')" in said
    with pytest.raises(UserError, match=r"11 \(not named there: 3 of 'view', 2 of 'dislike'"):
        run(log, events={"purchas": 4.0})


def test_weights_that_are_all_alike_change_nothing(tmp_path: Path) -> None:
    rows = HEAD + "".join(f"ada,i{n},{n},view\n" for n in range(5))
    log = write(tmp_path / "log.csv", rows)
    prepare(config(log), tmp_path / "without")
    prepare(config(log, events={"view": 3.0}), tmp_path / "with")
    without, having = ((tmp_path / name) for name in ("without", "with"))
    for file in ("interactions.parquet", "items.parquet", "dataset.json"):
        assert (without / file).read_bytes() == (having / file).read_bytes()


def test_without_a_column_of_types_it_is_said_what_to_set(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user_id,item_id,timestamp\nada,soap,1\n")
    with pytest.raises(UserError, match=r"no column for the type.*interactions.columns.type"):
        run(log, events=WEIGHTS)


def test_of_bad_rows_and_good_ones_types_are_the_same(tmp_path: Path) -> None:
    """A file with a bad row is read record by record."""
    done = run(write(tmp_path / "log.csv", SHOP + ",comb,9,view\n"), events=WEIGHTS)
    assert done.history("ada") == ["soap", "soap", "comb", "towel"]
    assert len(done.rejects) == 1


def test_a_batch_holds_the_weights_of_what_is_predicted(tmp_path: Path) -> None:
    done = run(write(tmp_path / "log.csv", SHOP), events=WEIGHTS, filter={"deduplicate": "all"})
    histories = done.data.histories
    batches = TrainingBatches(
        histories, training_windows(histories, 10), filter_seen=False, with_past=False
    )
    weight_J = Resident.of(batches, torch.device("cpu")).gather(batches[[0]]).weight_J
    assert weight_J is not None
    np.testing.assert_array_equal(weight_J, [1.0, 2.0])


def store(folder: Path, *records: Record) -> Path:
    """As the service does."""
    FileLog(folder, EVENT_LOG).append([*records])
    open_store(Storing(folder=folder)).run()
    return folder / "done"


def test_what_the_service_stored_is_read_as_it_is(tmp_path: Path) -> None:
    """Sent twice, in several files, with what was shown beside it."""
    log = FileLog(tmp_path / "events", EVENT_LOG)
    for n in range(3):
        some = [event(f"{n}", item_id=f"item-{n}", time=NOON + 3000 * n, type="view")]
        log.append([*some, *some, answer(f"r{n}", "ada", "item-9")])
        open_store(Storing(folder=tmp_path / "events")).run()
    log.append([event("buy", item_id="item-2", time=NOON + 9000, type="purchase")])
    open_store(Storing(folder=tmp_path / "events")).run()
    done = run(tmp_path / "events" / "done", events=WEIGHTS, filter={"deduplicate": "all"})
    assert done.triples == [("ada", f"item-{n}", int(NOON) + 3000 * n) for n in range(3)]
    assert done.log["weight"].to_list() == [1.0, 1.0, 4.0]


LOG = "user_id,item_id,timestamp,rating\nada,soap,1,5\nada,comb,2,1\nada,towel,3,4\nada,razor,4,4\n"
PURCHASES = {"type": "purchase", "min_rating": 3}


def test_what_the_service_stored_is_read_beside_the_log_that_there_was(tmp_path: Path) -> None:
    """One configuration, for the first training and for those after it. Events have no ratings."""
    log, folder = write(tmp_path / "log.csv", LOG), tmp_path / "events"
    told = PURCHASES | {"stored": folder / "done"}
    before = run(log, interactions=told, events=WEIGHTS)
    assert before.history("ada") == ["soap", "towel", "razor"]
    store(folder, event("1", item_id="brush", type="view"), event("2", item_id="c", type="noise"))
    after = run(log, interactions=told, events=WEIGHTS)
    assert after.history("ada") == ["soap", "towel", "razor", "brush"]
    assert after.log["weight"].to_list() == [4.0, 4.0, 4.0, 1.0]
    assert after.card.interactions_source.rows == 6
    assert (after.card.removed.min_rating, after.card.removed.events) == (1, 1)


def test_a_log_with_types_keeps_them_beside_what_is_stored(tmp_path: Path) -> None:
    """And what is said of an item later decides, wherever it was said."""
    disliked = event("1", item_id="soap", type="dislike")
    viewed = event("2", item_id="razor", type="view"), event("3", user_id="bob", type="view")
    done = store(tmp_path / "events", disliked, *viewed)
    log = write(tmp_path / "log.csv", SHOP + ",comb,9,view\n")  # read record by record
    found = run(log, interactions={"stored": done}, events=WEIGHTS)
    assert found.history("ada") == ["comb", "towel", "razor"]
    assert found.history("bob") == ["item"]
    assert found.card.interactions_source.rejected == {"missing_user_id": 1}


def test_a_log_without_times_cannot_be_beside_what_is_stored(tmp_path: Path) -> None:
    done = store(tmp_path / "events", event("1"))
    log = write(tmp_path / "log.csv", "user_id,item_id\nada,soap\n")
    with pytest.raises(UserError, match=r"interactions.stored: .* set interactions.columns.time"):
        run(log, interactions={"type": "view", "stored": done}, events=WEIGHTS)


@pytest.mark.parametrize(
    ("interactions", "events", "said"),
    [
        ({"stored": "events/done"}, {}, r"interactions.stored needs \[events\]"),
        ({"type": "purchase"}, {"view": 1.0}, "'purchase' is not named in"),
    ],
)
def test_types_that_weigh_nothing_are_refused(
    interactions: dict[str, str], events: dict[str, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        config(Path("log.csv"), interactions=interactions, events=events)


def test_of_words_of_the_same_time_the_later_one_in_the_log_is_the_last(tmp_path: Path) -> None:
    pairs = [
        f"u{n},{item},7,{kind}\n"
        for n in range(3000)
        for item, kinds in (("a", ("view", "dislike")), ("b", ("dislike", "view")))
        for kind in kinds
    ]
    others = [f"u{n},i{at},9,view\n" for n in range(3000) for at in range(3)]
    log = write(tmp_path / "log.csv", HEAD + "".join([*pairs, *others]))
    done = run(log, events=WEIGHTS)
    assert {item for _, item, time in done.triples if time == 7} == {"b"}


def test_a_view_that_ends_in_a_purchase_is_not_bought_again(tmp_path: Path) -> None:
    rows = "".join(
        f"u{user},i{item},{1000 * item + at},{kind}\n"
        for user in range(4)
        for item in range(4)
        for at, kind in enumerate(("view", "purchase"))
    )
    again = "".join(f"u{user},i0,500000,view\n" for user in range(4))
    log = write(tmp_path / "log.csv", HEAD + rows + again)
    card = run(log, events=WEIGHTS, recommend="all").card
    assert (card.adjacent, card.repeats) == (16 / 36, 4 / 36)
