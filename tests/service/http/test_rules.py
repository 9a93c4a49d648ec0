"""What a shop wants to say: boost, pin, diversify, explore, rank, scenarios, and batches."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from benchmarks import rules
from benchmarks.reliability.like_intake import LikeIntake
from models.contract.bundle import Bundle
from service.catalogue.live_items import LiveItems
from service.engine.choose import make_engine
from service.generation import ruled
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.http.app import create_app
from service.http.scenarios import ScenarioError
from service.metrics import Metrics
from service.settings import Settings
from tests.service.http.test_items import KEY, PROBLEM, put, settings
from tests.service.http.test_recommend import ask, ids
from tests.service.program import eventually
from tests.tiny_bundle import ITEMS, attributes_of

HISTORY = ["item-3", "item-4"]
CATALOGUE = {f"item-{n}": attributes_of(n) for n in range(ITEMS)}


def kinds(answer: dict[str, Any]) -> list[Any]:
    return [CATALOGUE[item]["kind"] for item in ids(answer)]


@pytest.fixture
def shop(tiny: Bundle, tmp_path: Path) -> Iterator[TestClient]:
    """Takes items in, by an intake of ours."""

    def load(directory: Path, given: Settings, metrics: Metrics) -> Generation:
        items = LiveItems(tiny)
        engine = make_engine(tiny, given, lambda: items.live)
        return new_generation(items, engine, LikeIntake(tiny), given, metrics)

    with TestClient(create_app(settings(tiny, tmp_path), load), headers=KEY) as client:
        yield client


def test_random_rules_are_never_violated(client: TestClient) -> None:
    """A few of what ``benchmarks.rules`` draws by the thousand."""
    used, violations = rules.run(lambda body: ask(client, **body), CATALOGUE, 300, random.Random(5))
    assert violations == []
    assert min(used.values()) > 30


def test_how_deep_is_looked_at_first_changes_no_answer(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit passes over all that was found of a part: the next of it is looked for, although
    another part has something for every slot.
    """
    dice = random.Random(3)
    for _ in range(60):
        body: dict[str, Any] = {"history": dice.sample([*CATALOGUE], 3), "k": dice.randint(2, 4)}
        body["boost"] = [
            {"items": dice.sample([*CATALOGUE], 20), "factor": dice.choice([0.1, 9.0])}
        ]
        body["diversify"] = {"by": "kind", "at_most": 1}
        answers = []
        for some in (-3 * body["k"], ITEMS):
            monkeypatch.setattr("service.generation.ruled._SOME", some)
            answers.append(ids(ask(client, **body)))
        assert answers[0] == answers[1], body


def test_what_a_limit_passes_over_is_not_named_as_what_must_not_be(client: TestClient) -> None:
    several = [*CATALOGUE][:20]
    answer = ask(
        client,
        history=HISTORY,
        rank={"items": [*several, "nope"]},
        diversify={"by": "kind", "at_most": 1},
    )
    assert len(ids(answer)) < len(several)
    assert answer["skipped"] == ["nope"]


def test_twenty_pages_have_no_item_twice(client: TestClient) -> None:
    seen: list[str] = []
    body: dict[str, Any] = {"history": HISTORY, "k": 2, "diversify": {"strength": 0.5}}
    for _ in range(20):
        answer = ask(client, **body)
        seen += ids(answer)
        body["after"] = answer["recommendation_id"]
    assert len(seen) == len({*seen}) == 40


def test_a_factor_makes_an_item_so_many_times_as_likely(client: TestClient) -> None:
    plain = {item["item_id"]: item["score"] for item in ask(client, history=HISTORY, k=60)["items"]}
    boost = [{"filter": {"kind": "hat"}, "factor": 3.0}, {"items": ["item-8"], "factor": 0.5}]
    found = ask(client, history=HISTORY, k=60, boost=boost, explain=True)["items"]
    for item in found:
        hat = "hat" in attributes_of(int(item["item_id"][5:])).get("kind", ())
        gained = np.log(3.0) * hat + np.log(0.5) * (item["item_id"] == "item-8")
        assert item["score"] == pytest.approx(plain[item["item_id"]] + gained, abs=1e-3)
    touched = {item["item_id"]: item["rules"] for item in found}
    assert touched["item-8"] == ["boost 1", "boost 2"]
    assert touched["item-7"] == []


def test_a_factor_multiplies_counts_where_popular_items_answer(client: TestClient) -> None:
    boost = [{"items": ["item-30"], "factor": 2.0}]
    found = ask(client, history=[], k=3, boost=boost)["items"]
    assert [(item["item_id"], item["score"]) for item in found] == [
        ("item-30", 60.0), ("item-59", 59.0), ("item-58", 58.0)
    ]  # fmt: skip


def test_a_share_is_held_from_the_top_on(client: TestClient) -> None:
    boost = [{"filter": {"kind": "red"}, "share": 0.5}]
    red = ["red" in kind for kind in kinds(ask(client, history=HISTORY, k=12, boost=boost))]
    assert all(sum(red[:n]) >= int(n / 2 + 0.5) for n in range(1, 13))


def test_pins_stand_where_they_are_put_or_are_named(client: TestClient) -> None:
    pin = [
        {"item_id": "item-9", "position": 2},
        {"item_id": "item-11", "position": 5},
        {"item_id": "item-3", "position": 1},  # of the history
        {"item_id": "nope", "position": 3},
    ]
    answer = ask(client, history=HISTORY, k=5, pin=pin, explain=True)
    assert (ids(answer)[1], ids(answer)[4]) == ("item-9", "item-11")
    assert answer["skipped"] == ["item-3", "nope"]
    assert answer["items"][1]["rules"] == ["pin"]


def test_a_pin_beyond_the_end_moves_nothing(client: TestClient) -> None:
    best = ids(ask(client, history=HISTORY, k=3))
    pinned = ask(client, history=HISTORY, k=3, pin=[{"item_id": best[0], "position": 4}])
    assert (ids(pinned), pinned["skipped"]) == (best, [])


def test_a_limit_that_passes_over_much_is_searched_for_more(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a part has no more, as that of a boosted item of the history: as if all were."""
    body: dict[str, Any] = {"history": HISTORY, "k": 3, "diversify": {"by": "kind", "at_most": 1}}
    body["boost"] = [{"items": HISTORY, "factor": 2.0}]
    whole = ids(ask(client, **body))
    monkeypatch.setattr(ruled, "_SOME", -12 + 1)  # one of each part is searched for, at first
    assert ids(ask(client, **body)) == whole
    assert len(whole) == 3


def test_at_most_so_many_of_one_value(client: TestClient) -> None:
    diversify = {"by": "kind", "at_most": 2}
    answer = ask(client, history=HISTORY, k=10, diversify=diversify, explain=True)
    counted = [kind for item in ids(answer) for kind in ("hat", "shoe", "red")
               if kind in CATALOGUE[item].get("kind", ())]  # fmt: skip
    assert {counted.count(kind) for kind in ("hat", "shoe")} == {2}
    assert answer["items"][0]["rules"] == []
    assert answer["items"][-1]["rules"] == ["diversify"]


def test_strength_trades_score_for_difference(client: TestClient, tiny: Bundle) -> None:
    def likeness(strength: float) -> float:
        found = ids(ask(client, history=HISTORY, k=8, diversify={"strength": strength}))
        vectors = tiny.item_vectors_ND[[int(item[5:]) for item in found]]
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return float((unit @ unit.T)[np.triu_indices(len(found), 1)].mean())

    plain = ids(ask(client, history=HISTORY, k=8))
    assert ids(ask(client, history=HISTORY, k=8, diversify={"strength": 0.001})) == plain
    assert likeness(0.9) < likeness(0.4) < likeness(0.001)


def test_candidates_are_ranked_all_of_them(client: TestClient) -> None:
    items = ["item-9", "item-3", "nope", "item-7", "item-12", "item-20"]
    answer = ask(client, history=HISTORY, rank={"items": items})
    whole = ids(ask(client, history=HISTORY, k=60, include_history=True))
    assert ids(answer) == sorted({*items} - {"nope"}, key=whole.index)
    assert answer["skipped"] == ["nope"]
    assert len(ids(ask(client, history=HISTORY, rank={"items": items}, k=2))) == 2
    allowed = ask(client, history=HISTORY, rank={"items": items}, allow=["item-7", "item-8"])
    assert ids(allowed) == ["item-7"]


def test_an_order_of_preference_counts_as_much_as_the_model(client: TestClient) -> None:
    by_model = ids(ask(client, history=HISTORY, rank={"items": [*CATALOGUE][:9]}))
    items = [*by_model[4:], *by_model[:4]]
    answer = ask(client, history=HISTORY, rank={"items": items, "in_order": True})
    sums = {item: 1 / (61 + items.index(item)) + 1 / (61 + by_model.index(item)) for item in items}
    assert ids(answer) == sorted(items, key=lambda item: -sums[item])


@pytest.mark.parametrize("k", [1, 3])
def test_the_first_of_an_order_of_preference_are_the_same_however_few_are_asked_for(
    client: TestClient, k: int
) -> None:
    by_model = ids(ask(client, history=HISTORY, rank={"items": [*CATALOGUE][:20]}))
    rank = {"items": [*by_model[9:], *by_model[:9]], "in_order": True}
    every = ask(client, history=HISTORY, rank=rank)["items"]
    assert ask(client, history=HISTORY, rank=rank, k=k)["items"] == every[:k]


def test_what_was_sent_twice_is_where_it_was_sent_first(client: TestClient) -> None:
    best, *others = ids(ask(client, history=HISTORY, rank={"items": [*CATALOGUE][:9]}))
    once, twice = (
        ask(client, history=HISTORY, k=9, rank={"items": items, "in_order": True})["items"]
        for items in ([best, *others], [best, *others, best])
    )
    assert once == twice


def test_new_items_are_explored_and_flagged(shop: TestClient) -> None:
    worst = ids(ask(shop, history=["item-40"], k=60))[-3:]
    for n, item in enumerate(worst):
        assert put(shop, f"new-{n}", like=item).status_code == 200
    explore = {"share": 0.5, "max_age_days": 1}
    answer = ask(shop, history=["item-40"], k=6, explore=explore, explain=True)
    flags = {item["item_id"]: item["explored"] for item in answer["items"]}
    new = {"new-0", "new-1", "new-2", "item-0"}  # the last of which nobody used
    assert {item for item, explored in flags.items() if explored} <= new
    assert sum(flags.values()) == 3
    assert all(item["rules"] == ["explore"] for item in answer["items"] if item["explored"])
    assert "explored" not in ask(shop, history=["item-40"])["items"][0]


def test_whatever_is_new_may_be_explored_not_the_best_of_it_alone(shop: TestClient) -> None:
    """Unless it came too long ago: what nobody ever used did not."""
    worst = ids(ask(shop, history=["item-40"], k=60))[-1]
    for n in range(5):
        assert put(shop, f"new-{n}", like=worst).status_code == 200

    def explored(days: float) -> set[str]:
        explore = {"share": 1.0, "max_age_days": days}
        body = {"history": ["item-40"], "k": 1, "explore": explore}
        return {ids(ask(shop, **body))[0] for _ in range(30)}

    assert len(explored(1)) > 2
    assert explored(1e-9) == {"item-0"}


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("boost.0", {"boost": [{"factor": 2.0}]}),
        ("boost.0", {"boost": [{"items": ["item-1"]}]}),
        ("boost.0.factor", {"boost": [{"items": ["item-1"], "factor": 0}]}),
        ("boost", {"boost": [{"items": ["item-1"], "factor": 2.0}] * 5}),
        ("boost.0.filter.colour", {"boost": [{"filter": {"colour": "red"}, "factor": 2.0}]}),
        ("pin", {"pin": [{"item_id": "item-1", "position": 1}] * 2}),
        ("diversify", {"diversify": {}}),
        ("explore.share", {"explore": {"share": 1.5}}),
        ("rank.items", {"rank": {"items": []}}),
        ("scenario", {"scenario": "home"}),
    ],
)
def test_a_rule_at_fault_is_named(client: TestClient, field: str, rule: dict[str, Any]) -> None:
    response = client.post("/recommend", json={"history": HISTORY, **rule})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_batch_answers_each_as_it_would_alone(client: TestClient) -> None:
    requests: list[dict[str, Any]] = [
        {"history": HISTORY, "k": 3},
        {"history": HISTORY, "filter": {"colour": "red"}},
        {"history": [], "k": 2},
        {"history": HISTORY, "after": "never-given"},
    ]
    response = client.post("/recommend/batch", json={"requests": requests})
    assert response.status_code == 200
    first, second, third, last = response.json()["answers"]
    for answer, request in (first, requests[0]), (third, requests[2]):
        alone = ask(client, **request)
        assert answer["items"] == alone["items"]
        assert answer["recommendation_id"] != alone["recommendation_id"]
    assert (second["status"], second["errors"][0]["field"]) == (422, "filter.colour")
    assert (last["status"], last["errors"][0]["field"]) == (422, "after")


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "requests"),
        ([{"history": []}] * 101, "requests"),
        ([{"history": 1}], "requests.0.history"),
    ],
)
def test_a_malformed_batch_is_refused_whole(
    client: TestClient, requests: list[dict[str, Any]], field: str
) -> None:
    response = client.post("/recommend/batch", json={"requests": requests})
    assert (response.status_code, response.headers["content-type"]) == (422, PROBLEM)
    assert response.json()["errors"][0]["field"] == field


SCENARIOS = """
[hats]
k = 4
filter = { kind = "hat" }
[cart]
k = 2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios.toml"
    path.write_text(SCENARIOS, "utf-8")
    return path


@pytest.fixture
def home(tiny: Bundle, file: Path, tmp_path: Path) -> Iterator[TestClient]:
    given = settings(tiny, tmp_path, scenarios=file, provider="cpu")
    with TestClient(create_app(given)) as client:
        yield client


def test_a_scenario_sets_what_the_request_does_not(home: TestClient) -> None:
    hats = ask(home, history=HISTORY, scenario="hats")
    assert hats["items"] == ask(home, history=HISTORY, k=4, filter={"kind": "hat"})["items"]
    assert len(ask(home, history=HISTORY, scenario="hats", k=3)["items"]) == 3
    assert len(ask(home, history=HISTORY, scenario="cart")["items"]) == 2
    assert home.get("/model").json()["scenarios"] == {"names": ["cart", "hats"], "fault": None}


def test_scenarios_follow_their_file_and_one_at_fault_changes_nothing(
    home: TestClient, file: Path
) -> None:
    def state() -> Any:
        return home.get("/model").json()["scenarios"]

    file.write_text(SCENARIOS.replace("k = 2", 'k = "two"'), "utf-8")
    assert eventually(lambda: state()["fault"] is not None)
    assert state()["fault"].endswith("[cart] k: Input should be a valid integer")
    assert "bbqrec_scenarios_refused 1.0" in home.get("/metrics").text
    assert len(ask(home, history=HISTORY, scenario="cart")["items"]) == 2
    file.write_text("[cart]\nk = 7\n", "utf-8")
    assert eventually(lambda: state() == {"names": ["cart"], "fault": None})
    assert len(ask(home, history=HISTORY, scenario="cart")["items"]) == 7


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ('filter = { kindd = "hat" }', "filter"),
        ('boost = [{ filter = { kindd = "hat" }, factor = 2.0 }]', "boost.0.filter"),
        ('diversify = { by = "kindd" }', "diversify.by"),
    ],
)
def test_a_scenario_by_what_no_item_has_changes_nothing(
    home: TestClient, file: Path, rule: str, field: str
) -> None:
    """Else every request in it would fail, and nobody be told."""
    file.write_text(f"{SCENARIOS}\n[new]\n{rule}\n", "utf-8")
    assert eventually(lambda: home.get("/model").json()["scenarios"]["fault"] is not None)
    told = home.get("/model").json()["scenarios"]
    assert told["names"] == ["cart", "hats"]
    assert told["fault"].endswith(f"[new] {field}: no item has an attribute 'kindd'")


def test_a_scenario_with_a_range_of_what_is_no_number_changes_nothing(
    home: TestClient, file: Path
) -> None:
    file.write_text(f"{SCENARIOS}\n[new]\nfilter = {{ kind = {{ lt = 20 }} }}\n", "utf-8")
    assert eventually(lambda: home.get("/model").json()["scenarios"]["fault"] is not None)
    told = home.get("/model").json()["scenarios"]
    assert told["fault"].endswith("[new] filter: no item has a number 'kind'")


def test_to_diversify_by_what_no_item_has_is_refused(client: TestClient) -> None:
    asked = {"history": HISTORY, "diversify": {"by": "kindd"}}
    response = client.post("/recommend", json=asked)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "diversify.by"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[home\n", "at line 1"),
        ("k = 4\n", "[k] should be a table"),
        ("[home]\nhistory = []\n", "[home] history: is for a request to say"),
        ("[home]\nkk = 4\n", "[home] kk: Extra inputs"),
        ("[home]\nk = 501\n", "[home] k: "),
        ("[home]\nboost = [{ factor = 2.0 }]\n", "[home] boost.0: "),
    ],
)
def test_a_file_at_fault_is_no_start_and_says_where(
    tiny: Bundle, file: Path, text: str, said: str
) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ScenarioError) as error:
        create_app(Settings(bundle=tiny.directory, scenarios=file))
    assert str(file) in str(error.value)
    assert said in str(error.value)
