"""Events: kept, known in the next answer, in every process, and forgotten when asked to."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save_file

from models.contract.bundle import FILES, Bundle, write_manifest
from models.contract.manifest import read_manifest
from models.contract.store import BundleStore
from service.events.record import Erased
from service.http.app import create_app
from service.settings import Settings
from tests.conftest import TinyBundles
from tests.service.http.test_items import assert_problem
from tests.service.program import eventually
from tests.tiny_bundle import ITEMS
from training.memory.live import Worth, memory_of


def an_event(item: int, user: str = "ada", **more: Any) -> dict[str, Any]:
    told = {"id": f"e-{user}-{item}", "type": "click", "user_id": user, "item_id": f"item-{item}"}
    return told | more


def serve(folder: Path, **settings: Any) -> TestClient:
    return TestClient(create_app(Settings(bundle=folder, drain=0, **settings)), client=("::1", 50))


@pytest.fixture
def live(store: BundleStore, digests: list[str]) -> Iterator[TestClient]:
    store.activate(digests[0])
    with serve(store.output) as client:
        yield client


def post(client: TestClient, *events: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/events", json={"events": list(events)})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def recommend(client: TestClient, **asked: Any) -> dict[str, Any]:
    answer = client.post("/recommend", json=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_what_a_user_did_is_in_the_very_next_answer(live: TestClient) -> None:
    assert recommend(live, user_id="ada")["fallback"] == "popular"
    told = post(live, an_event(3), an_event(4), an_event(5, type="my.own"), an_event(999))
    assert (told["kept"], told["repeated"]) == (4, [])
    assert (told["unknown_items"], told["unused_types"]) == (["item-999"], ["my.own"])
    answer = recommend(live, user_id="ada", k=7)
    assert (answer["fallback"], answer["unknown_items"]) == (None, [])
    assert ids(answer) == ids(recommend(live, history=["item-3", "item-4"], k=7))


def test_what_is_sent_along_comes_after_what_was_done(live: TestClient) -> None:
    post(live, an_event(3), an_event(4))
    answer = recommend(live, user_id="ada", history=["item-3", "item-7"], k=7)
    expected = recommend(live, history=["item-4", "item-3", "item-7"], k=7)
    assert ids(answer) == ids(expected)


def test_an_event_that_is_sent_again_is_one_event(live: TestClient) -> None:
    once, again = an_event(3), an_event(3, item_id="item-4")
    assert post(live, once, again)["repeated"] == [once["id"]]
    assert post(live, once)["kept"] == 0
    assert post(live, an_event(3, source="another"))["kept"] == 1
    assert live.get("/users/ada").json()["history"] == ["item-3"]


def test_a_late_event_finds_its_place(live: TestClient) -> None:
    now = time.time()
    post(live, an_event(3, time=now - 10), an_event(5, time=now))
    post(live, an_event(4, time="2001-01-01T00:00:00+00:00"), an_event(6, time=now - 5))
    assert live.get("/users/ada").json()["history"] == ["item-4", "item-3", "item-6", "item-5"]


def test_what_is_disliked_is_never_returned_until_it_is_liked(live: TestClient) -> None:
    first = ids(recommend(live, user_id="ada", history=["item-3"]))[0]
    number = int(first.removeprefix("item-"))
    post(live, an_event(number, type="dislike"))
    assert first not in ids(recommend(live, user_id="ada", history=["item-3"], k=100))
    assert live.get("/users/ada").json() == {"user_id": "ada", "history": [], "disliked": [first]}
    post(live, an_event(number, type="like", id="changed my mind"))
    assert live.get("/users/ada").json()["disliked"] == []


def test_pages_never_repeat(live: TestClient) -> None:
    page = recommend(live, history=["item-3"], k=5)
    seen = ids(page)
    for _ in range(8):
        page = recommend(live, history=["item-3"], k=5, after=page["recommendation_id"])
        seen += ids(page)
    assert len(seen) == len(set(seen)) == 45
    assert seen == ids(recommend(live, history=["item-3"], k=45))


def test_what_was_seen_lately_is_left_out_where_asked(live: TestClient) -> None:
    first = ids(recommend(live, user_id="ada", history=["item-3"], k=5))
    again = ids(recommend(live, user_id="ada", history=["item-3"], k=5))
    fresh = ids(recommend(live, user_id="ada", history=["item-3"], k=5, exclude_seen=True))
    other = ids(recommend(live, user_id="bob", history=["item-3"], k=5, exclude_seen=True))
    assert first == again == other
    assert not {*first} & {*fresh}


def test_an_unknown_page_is_refused(live: TestClient) -> None:
    answer = live.post("/recommend", json={"history": [], "after": "no-such"})
    assert_problem(answer, 422, "no such answer is known")
    assert answer.json()["errors"][0]["field"] == "after"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": ""}, "id"), ({"type": "Click!"}, "type"), ({"user_id": 7}, "user_id"),
        ({"time": 1e12}, "time"), ({"time": "yesterday"}, "time"), ({"time": -1}, "time"),
        ({"position": 0}, "position"), ({"value": "1"}, "value"), ({"colour": "red"}, "colour"),
        ({"context": {"a": [1]}}, "context"),
    ],
)  # fmt: skip
def test_one_at_fault_is_named_and_none_is_kept(
    live: TestClient, wrong: dict[str, Any], field: str
) -> None:
    answer = live.post("/events", json={"events": [an_event(3), an_event(4, **wrong)]})
    assert_problem(answer, 422)
    assert answer.json()["errors"][0]["field"].startswith(f"events.1.{field}")
    assert live.get("/users/ada").json()["history"] == []


@pytest.mark.parametrize(
    ("times", "said"),
    [(1000, "lies in the future: in seconds, not milliseconds"), (2, "lies in the future")],
)
def test_a_time_in_milliseconds_is_told_so(live: TestClient, times: int, said: str) -> None:
    """As ``Date.now()`` has it."""
    answer = live.post("/events", json={"events": [an_event(3, time=times * time.time())]})
    assert answer.json()["errors"][0]["message"] == said


def test_they_are_taken_before_there_is_a_model(store: BundleStore) -> None:
    settings = Settings(bundle=store.output, wait=True, drain=0)
    with TestClient(create_app(settings, beside=True), client=("::1", 50)) as client:
        told = post(client, an_event(3), an_event(999))
        assert (told["kept"], told["unknown_items"]) == (2, [])
        assert client.get("/users/ada").json()["history"] == ["item-3", "item-999"]
        assert client.get("/readyz").status_code == 503


def test_too_many_are_refused(store: BundleStore, digests: list[str]) -> None:
    store.activate(digests[0])
    with serve(store.output, max_events=2) as client:
        many = [an_event(n) for n in range(3)]
        assert_problem(client.post("/events", json={"events": many}), 422, "2")
        post(client, *many[:2])


def test_a_restart_knows_what_was_done(store: BundleStore, digests: list[str]) -> None:
    store.activate(digests[0])
    with serve(store.output) as client:
        post(client, an_event(3), an_event(4))
        page = recommend(client, user_id="ada", k=5)
    with serve(store.output) as client:
        assert client.get("/users/ada").json()["history"] == ["item-3", "item-4"]
        assert post(client, an_event(3))["kept"] == 0
        following = recommend(client, user_id="ada", k=5, after=page["recommendation_id"])
        assert not {*ids(page)} & {*ids(following)}


def test_another_process_knows_it_soon(store: BundleStore, digests: list[str]) -> None:
    store.activate(digests[0])
    with serve(store.output) as one, serve(store.output) as other:
        post(one, an_event(3))
        page = recommend(one, user_id="ada", k=5)
        following = recommend(other, user_id="ada", k=5, after=page["recommendation_id"])
        assert not {*ids(page)} & {*ids(following)}
        assert other.get("/users/ada").json()["history"] == ["item-3"]
        assert post(other, an_event(3))["kept"] == 0


def test_a_user_is_forgotten_and_a_guest_becomes_one(live: TestClient) -> None:
    post(live, an_event(3, "guest", time=5.0), an_event(4, time=6.0), an_event(5, "guest"))
    assert live.post("/users/ada/merge", json={"guest_id": "guest"}).status_code == 200
    assert live.get("/users/ada").json()["history"] == ["item-3", "item-4", "item-5"]
    assert live.get("/users/guest").json()["history"] == []
    assert live.delete("/users/ada").status_code == 200
    assert live.get("/users/ada").json()["history"] == []
    assert recommend(live, user_id="ada")["fallback"] == "popular"


def test_only_who_is_named_is_forgotten(live: TestClient) -> None:
    """A line's end is of an id as anything else."""
    post(live, an_event(3), an_event(4, "ada\n"), an_event(5, "a\nb"))
    assert live.get("/users/ada%0A").json()["history"] == ["item-4"]
    assert live.delete("/users/ada%0A").json()["user_id"] == "ada\n"
    assert live.delete("/users/a%0Ab").json()["user_id"] == "a\nb"
    assert live.get("/users/ada").json()["history"] == ["item-3"]
    for user in ("ada%0A", "a%0Ab"):
        assert live.get(f"/users/{user}").json()["history"] == []


def test_who_may_write_is_asked_for_the_key(store: BundleStore, digests: list[str]) -> None:
    store.activate(digests[0])
    with serve(store.output, events_key="secret") as client:
        body = {"events": [an_event(3)]}
        assert_problem(client.post("/events", json=body), 401, "key")
        assert_problem(client.get("/users/ada"), 401, "key")
        key = {"authorization": "Bearer secret"}
        assert client.post("/events", json=body, headers=key).status_code == 200
    with TestClient(create_app(Settings(bundle=store.output)), client=("10.0.0.1", 50)) as client:
        assert_problem(client.post("/events", json=body), 403, "this machine")


def test_a_log_that_cannot_be_written_is_said_and_recommending_goes_on(tiny: Bundle) -> None:
    with serve(tiny.directory, events=Path("/dev/null/events")) as client:
        answer = client.post("/events", json={"events": [an_event(3)]})
        assert_problem(answer, 503, "the log in")
        assert answer.headers["retry-after"]
        assert ids(recommend(client, history=["item-3"]))


def test_how_long_logs_are_away_is_told_whatever_the_clock_does(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set back by an hour would keep both alerts silent for one."""
    with serve(tiny.directory, log_url="redis://127.0.0.1:1") as client:
        now = time.time() - 3600
        monkeypatch.setattr(time, "time", lambda: now)
        for name in ("bbqrec_log_lag_seconds", "bbqrec_events_lag_seconds"):
            assert eventually(partial(moved, client, name, gauge(client, name)))
            assert 0 < gauge(client, name) < 3600


def moved(client: TestClient, name: str, before: float) -> bool:
    return gauge(client, name) != before


def gauge(client: TestClient, name: str) -> float:
    (line,) = (line for line in client.get("/metrics").text.splitlines() if line.startswith(name))
    return float(line.split()[-1])


@pytest.fixture
def remembering(tiny_bundles: TinyBundles) -> Path:
    return tiny_bundles.copy(remembers=True)


def clicks(first: int, then: int, users: int) -> list[dict[str, Any]]:
    pairs = [(f"user-{n}", item) for n in range(users) for item in (first, then)]
    return [an_event(item, user, time=1000.0 + n) for n, (user, item) in enumerate(pairs)]


def test_what_others_do_is_in_answers_to_all(remembering: Path) -> None:
    with serve(remembering) as client:
        before = recommend(client, history=["item-3"], k=50)
        last = before["items"][-1]
        post(client, *clicks(3, int(last["item_id"].removeprefix("item-")), users=20))
        after = {
            i["item_id"]: i["score"] for i in recommend(client, history=["item-3"], k=50)["items"]
        }
        # The most frequent follower is worth what the bundle's memory gives one.
        assert after[last["item_id"]] == pytest.approx(last["score"] + 9.0, abs=1e-3)
        told = recommend(client, history=["item-3", "item-9"], k=50, explain=True)["items"]
        why = {item["item_id"]: (item["because"], item["reason"]) for item in told}
        assert why[last["item_id"]] == ("item-3", "after")
        events = client.get("/model").json()["events"]
        assert (events["users"], events["counted"]) == (20, 1)
    with serve(remembering, live_memory=False) as client:
        assert ids(recommend(client, history=["item-3"], k=50)) == ids(before)


def test_new_users_get_what_is_popular_with_those_who_are_like_them(live: TestClient) -> None:
    """The fewer of those there are, the more like everybody."""
    everybody = recommend(live, history=[], k=3)
    spain, norway = {"country": "ES", "device": "phone"}, {"country": "NO"}
    for user in range(40):
        post(live, an_event(5, f"es-{user}", context=spain))
    post(live, an_event(7, "no-1", context=norway))
    there = recommend(live, history=["nope"], k=3, context={"country": "ES"})
    assert (ids(there)[0], there["fallback"]) == ("item-5", "popular_in_context")
    assert there["unknown_items"] == ["nope"]
    few = recommend(live, history=[], k=3, context=norway)
    assert (few["fallback"], "item-7" in ids(few)) == ("popular_in_context", False)
    elsewhere = recommend(live, history=[], k=3, context={"country": "FR", "device": None})
    assert (ids(elsewhere), elsewhere["fallback"]) == (ids(everybody), "popular")
    known = recommend(live, history=["item-3"], k=3, context=spain)
    assert (ids(known), known["fallback"]) == (ids(recommend(live, history=["item-3"], k=3)), None)
    held = recommend(live, history=[], k=3, context=spain, exclude=["item-5"])
    assert "item-5" not in ids(held)


def test_of_several_things_in_common_each_counts(live: TestClient) -> None:
    for user in range(60):
        post(live, an_event(5, f"a{user}", context={"country": "ES"}))
        post(live, an_event(7, f"b{user}", context={"device": "phone"}))
    asked = {"country": "ES", "device": "phone"}
    found = recommend(live, history=[], k=2, context=asked)
    assert sorted(ids(found)) == ["item-5", "item-7"]
    assert found["items"][0]["score"] > 0


def test_what_is_popular_of_late_is_what_new_users_get(live: TestClient) -> None:
    assert ids(recommend(live, history=[], k=2)) == ["item-59", "item-58"]
    post(live, *(an_event(2, user=f"u{n}") for n in range(70)))
    popular = recommend(live, history=[], k=3)
    assert (ids(popular), popular["fallback"]) == (["item-2", "item-59", "item-58"], "popular")
    assert [item["score"] for item in popular["items"]] == pytest.approx([72, 59, 58], abs=0.01)
    assert ids(recommend(live, history=[], k=2, exclude=["item-2"])) == ["item-59", "item-58"]
    assert ids(recommend(live, history=[], k=1, filter={"kind": "shoe"})) == ["item-59"]


def test_a_memory_that_knows_nothing_by_itself_weighs_what_is_heard(remembering: Path) -> None:
    """As training leaves it where what was counted before is worth nothing beside the model."""
    nothing = memory_of(Worth(weight=9.0, decay=0.6), ITEMS)
    save_file(nothing.arrays(), remembering / FILES.MEMORY)
    told, _ = read_manifest(remembering)
    kept = {name: value for name, value in told if name not in ("files", "schema_version")}
    write_manifest(remembering, kept)
    with serve(remembering) as client:
        before = recommend(client, history=["item-3"], k=50)
        last = before["items"][-1]
        post(client, *clicks(3, int(last["item_id"].removeprefix("item-")), users=20))
        after = recommend(client, history=["item-3"], k=50)["items"]
        (score,) = [item["score"] for item in after if item["item_id"] == last["item_id"]]
        assert score == pytest.approx(last["score"] + 9.0, abs=1e-3)


def test_without_a_memory_in_the_bundle_nothing_is_counted_beside_it(live: TestClient) -> None:
    before = recommend(live, history=["item-3"], k=50)
    post(live, *clicks(3, 4, users=20))
    assert recommend(live, history=["item-3"], k=50)["items"] == before["items"]


def test_ten_thousand_unknown_items_beside_a_user_hold_up_nobody(live: TestClient) -> None:
    """They were compared with each other: some seconds in which nothing else was answered."""
    limit = Settings.model_fields["max_history"].default
    started = time.process_time()
    unknown = recommend(live, user_id="ada", history=[f"no-{n}" for n in range(limit)])
    assert len(unknown["unknown_items"]) == limit
    assert time.process_time() - started < 1.5


def test_who_is_erased_right_after_an_answer_stays_erased(live: TestClient) -> None:
    """What was shown is written a moment later, and was written after it was to be forgotten."""
    post(live, an_event(1, user="eve"))
    recommend(live, user_id="eve")
    assert live.delete("/users/eve").status_code == 200
    time.sleep(0.3)
    state = live.app.state.service  # type: ignore[attr-defined]
    kept = state.events.appender.log.reader().read(1000)
    last = max(n for n, entry in enumerate(kept) if isinstance(entry.value, Erased))
    after = [entry.value for entry in kept[last + 1 :]]
    assert not [each for each in after if getattr(each, "user_id", None) == "eve"]
