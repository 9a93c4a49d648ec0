"""GET /experiments: two bundles side by side, by what came of what they showed."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.contract.store import BundleStore
from service.http.app import create_app
from service.settings import Settings
from tests.service.http.test_events import an_event, ids, post, recommend, serve
from tests.service.http.test_items import assert_problem


def experiments(client: TestClient) -> dict[str, Any]:
    answer = client.get("/experiments")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def eventually(client: TestClient, there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Answers gather before they are written to the log."""
    until = time.monotonic() + 20
    while not there(told := experiments(client)):
        assert time.monotonic() < until, told
        time.sleep(0.05)
    return told


def variants(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["role"]: each for each in told["trial"]["variants"]} if told["trial"] else {}


def answers(told: dict[str, Any]) -> int:
    return sum(each["answers"] for each in variants(told).values())


def sample(client: TestClient, role: str, outcome: str) -> float:
    name = f'bbqrec_outcomes{{outcome="{outcome}",role="{role}"}} '
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))


def test_what_comes_of_an_answer_at_once_counts(store: BundleStore, digests: list[str]) -> None:
    """Answers gather before they are written: what came of one was in the log before it."""
    store.activate(digests[0])
    with serve(store.output) as client:
        answer = recommend(client, user_id="ada", k=3)
        told = {"item_id": ids(answer)[0], "recommendation_id": answer["recommendation_id"]}
        post(client, an_event(1, "ada", **told))
        found = experiments(client)
        assert variants(found)["current"]["clicks"] == 1
        assert found["passed"]["unknown"] == 0


def test_current_and_canary_side_by_side(store: BundleStore, digests: list[str]) -> None:
    store.activate(digests[0])
    store.activate(digests[1], "canary")
    with serve(store.output, canary_share=0.5) as client:
        assert experiments(client)["trial"] is None
        given = {f"user-{n}": recommend(client, user_id=f"user-{n}", k=3) for n in range(20)}
        by = {user: answer["model_version"] for user, answer in given.items()}
        eventually(client, lambda told: answers(told) == 20)
        for user, answer in given.items():
            told = {"item_id": ids(answer)[0], "recommendation_id": answer["recommendation_id"]}
            post(client, an_event(1, user, **told))
        first = given["user-0"]["recommendation_id"]
        post(client, an_event(2, "user-0", item_id="item-999", recommendation_id=first))
        told = experiments(client)
        canary, current = variants(told)["canary"], variants(told)["current"]
        assert (current["model_version"], canary["model_version"]) == (digests[0], digests[1])
        for variant in (current, canary):
            mine = [user for user, model in by.items() if model == variant["model_version"]]
            assert variant["answers"] == variant["callers"] == len(mine) > 0
            assert variant["items"] == 3 * len(mine)
            assert variant["observed"] == 0  # a day has not passed
            assert sample(client, variant["role"], "answers") == len(mine)
        assert 0 < canary["coverage"]["items_alike"] <= canary["coverage"]["items"]
        assert [each["decided"] for each in told["trial"]["differences"]] == [False] * 3
        assert told["trial"]["split"]["says"].startswith("as meant")
        assert current["clicks"] + canary["clicks"] == 20
        assert told["passed"]["unknown"] == 1


def test_who_asks_for_one_of_them_gets_it_and_is_no_part_of_it(
    store: BundleStore, digests: list[str]
) -> None:
    store.activate(digests[0])
    store.activate(digests[1], "canary")
    with serve(store.output, canary_share=0.5) as client:

        def asked(role: str) -> Any:
            return client.post("/recommend", json={"history": []}, headers={"x-generation": role})

        for role, digest in zip(("current", "canary"), digests, strict=True):
            assert {asked(role).json()["model_version"] for _ in range(5)} == {digest}
        assert_problem(asked("shadow"), 503, "nothing serves as 'shadow'")
        assert_problem(asked("canery"), 422, "x-generation: is none of current, canary, shadow")
        recommend(client, user_id="ada")
        assert answers(eventually(client, lambda told: answers(told) > 0)) == 1


def test_a_click_on_what_the_log_holds_counts(store: BundleStore, digests: list[str]) -> None:
    store.activate(digests[0])
    with serve(store.output) as client:
        answer = recommend(client, user_id="ada", k=3)
        eventually(client, lambda told: answers(told) == 1)
        named = {"item_id": ids(answer)[1], "recommendation_id": answer["recommendation_id"]}
        post(client, an_event(1, **named), an_event(2, type="purchase", value=9.5, **named))
        current = variants(experiments(client))["current"]
        assert (current["clicks"], current["conversions"], current["value"]) == (1, 1, 9.5)
        assert sample(client, "current", "value") == 9.5
        assert experiments(client)["trial"]["split"] is None


def test_every_process_and_one_that_starts_say_the_same(
    store: BundleStore, digests: list[str]
) -> None:
    store.activate(digests[0])
    store.activate(digests[1], "canary")
    with serve(store.output) as one, serve(store.output) as other:
        for n in range(10):
            recommend((one, other)[n % 2], user_id=f"user-{n}", k=3)
        told = [eventually(client, lambda told: answers(told) == 10) for client in (one, other)]
        assert told[0] == told[1]
    with serve(store.output) as again:
        assert experiments(again) == told[0]


def test_another_share_begins_anew_and_what_was_is_told(
    store: BundleStore, digests: list[str]
) -> None:
    store.activate(digests[0])
    store.activate(digests[1], "canary")
    for share in (0.5, 0.2):
        with serve(store.output, canary_share=share) as client:
            recommend(client, user_id="ada", k=3)
            told = eventually(
                client,
                lambda told: bool(told["trial"]) and variants(told)["canary"]["share"] == share,  # noqa: B023
            )
    assert [trial["variants"][1]["share"] for trial in told["ended"]] == [0.5]
    assert told["ended"][0]["until"] == told["trial"]["since"]


@pytest.mark.parametrize("share", [0.3])
def test_a_user_keeps_the_bundle_whatever_key_is_sent(
    store: BundleStore, digests: list[str], share: float
) -> None:
    store.activate(digests[0])
    store.activate(digests[1], "canary")
    with serve(store.output, canary_share=share) as client:
        for n in range(20):
            models = {
                client.post(
                    "/recommend", json={"user_id": f"u-{n}"}, headers={"x-sticky-key": key}
                ).json()["model_version"]
                for key in ("phone", "tablet", "laptop")
            }
            assert len(models) == 1


def test_where_outcomes_are_not_counted_it_says_so(store: BundleStore, digests: list[str]) -> None:
    store.activate(digests[0])
    with TestClient(create_app(Settings(bundle=store.output, outcome_hours=0))) as client:
        assert_problem(client.get("/experiments"), 404, "BBQREC_OUTCOME_HOURS")
