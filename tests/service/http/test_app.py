"""What holds for every request: its id, limits, failures, readiness and metrics."""

import asyncio
import gc
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from fastapi.testclient import TestClient

from models.contract.bundle import Bundle
from service.engine.link import EngineAwayError
from service.http.app import create_app
from service.http.problems import as_problem
from service.metrics import SECONDS, Metrics
from service.retrieval.selection import ANYTHING
from service.settings import Settings
from tests.service.fakes import NAN, POISON, FakeScorer, loader
from tests.service.program import eventually

PROBLEM = "application/problem+json"
IN_FLIGHT = "bbqrec_requests_in_flight"


def test_request_id_is_echoed_or_made(client: TestClient) -> None:
    given_id = client.get("/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"]
    made = client.get("/livez", headers={"x-request-id": "bad id\t"}).headers["x-request-id"]
    assert given_id == "abc-1"
    assert len(made) == 32


def test_every_answer_says_how_long_it_took(client: TestClient) -> None:
    for answer in (client.get("/livez"), client.get("/nope")):
        name, _, took = answer.headers["server-timing"].partition(";dur=")
        assert name == "total"
        assert 0 < float(took) < 60_000


def test_an_answer_says_where_its_time_went(client: TestClient) -> None:
    told = client.post("/recommend", json={"history": ["item-1"]}).headers["server-timing"]
    parts = {name: float(took) for name, took in re.findall(r"(\w+);dur=([\d.]+)", told)}
    assert [*parts] == ["total", "queue", "encode", "search"]
    assert min(parts.values()) >= 0
    assert parts["total"] > parts["queue"] + parts["encode"] + parts["search"] > 0


def test_parts_of_a_batch_are_told_as_of_searches_at_once(client: TestClient) -> None:
    body = {"requests": [{"history": []}, {"history": ["item-1"]}, {"history": ["item-2"]}]}
    told = client.post("/recommend/batch", json=body).headers["server-timing"]
    assert re.fullmatch(r"total;dur=\S+, queue;dur=\S+, encode;dur=\S+, search;dur=\S+", told)


def test_an_unknown_path_and_method_are_problem_json(client: TestClient) -> None:
    for response, status in ((client.get("/nope"), 404), (client.get("/recommend"), 405)):
        assert response.status_code == status
        assert response.headers["content-type"] == PROBLEM
        assert response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/recommend/", "/livez/", "/docs/", "/recommend//", "/redoc/"])
def test_a_path_with_a_slash_too_many_is_not_there(client: TestClient, path: str) -> None:
    """Never a redirect: it would go to whatever host the request names."""
    for method in ("GET", "POST"):
        headers = {"host": "elsewhere.example"}
        answer = client.request(method, path, headers=headers, follow_redirects=False)
        assert answer.status_code in (404, 405)
        assert answer.headers["content-type"] == PROBLEM
        assert "elsewhere" not in str(answer.headers)


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/model", "/metrics", "/openapi.json", "/docs", "/redoc",
             "/docs/swagger-ui.css"]
)  # fmt: skip
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == get.headers["content-length"] != "0"


def test_head_of_what_is_not_there_has_the_problems_status(client: TestClient) -> None:
    for path, status in (("/nope", 404), ("/recommend", 405)):
        head = client.head(path)
        assert (head.status_code, head.content) == (status, b"")


def test_no_answer_may_be_taken_for_another_type(client: TestClient) -> None:
    answers = [
        client.get("/livez"),
        client.get("/nope"),
        client.get("/docs"),
        client.get("/redoc/redoc.standalone.js"),
        client.post("/recommend", content=b"{"),
        client.post("/recommend", content=b" " * 100_001),
        client.post("/recommend", json={"history": ["item-1"]}),
    ]
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)


@pytest.mark.parametrize(
    "given", ["application/json", "application/json; charset=utf-8", "text/plain", None]
)
def test_a_body_over_the_limit_is_refused_declared_or_not(
    client: TestClient, given: str | None
) -> None:
    headers = {"content-type": given} if given else {}
    declared = client.post("/recommend", content=b" " * 100_001, headers=headers)
    streamed = client.post("/recommend", content=iter([b" " * 60_000] * 3), headers=headers)
    for response in (declared, streamed):
        assert response.status_code == 413
        assert response.headers["content-type"] == PROBLEM
        assert "100000 bytes" in response.json()["detail"]
    assert 'bbqrec_requests_total{route="/recommend",status="413"}' in client.get("/metrics").text


def test_a_failure_is_a_500_with_the_request_id_and_fails_nobody_else(
    tiny: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(bundle=tiny.directory), loader(tiny, FakeScorer()))
    with TestClient(app) as client:
        headers = {"x-request-id": "poison-1"}
        failed = client.post("/recommend", json={"history": [f"item-{POISON}"]}, headers=headers)
        assert failed.status_code == 500
        assert failed.headers["content-type"] == PROBLEM
        assert failed.headers["x-request-id"] == "poison-1"
        assert "poisoned" not in failed.text
        assert "poison-1" in caplog.text
        assert "ValueError: poisoned" in caplog.text
        assert client.post("/recommend", json={"history": ["item-1"]}).status_code == 200
        counted = 'bbqrec_requests_total{route="/recommend",status="500"} 1.0'
        assert counted in client.get("/metrics").text


def test_of_a_batch_what_fails_is_a_problem_in_its_place(
    tiny: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(bundle=tiny.directory), loader(tiny, FakeScorer()))
    asked = ["item-1", f"item-{POISON}", f"item-{NAN}", "item-2"]
    body = {"requests": [{"history": [item]} for item in asked]}
    with TestClient(app) as client:
        answers = client.post("/recommend/batch", json=body).json()["answers"]
        assert [each.get("status") for each in answers] == [None, 500, 500, None]
        assert [len(each["items"]) > 0 for each in (answers[0], answers[3])] == [True, True]
        assert "poisoned" not in str(answers)
        assert "ValueError: poisoned" in caplog.text
        told = client.get("/metrics").text  # its status is 200: an objective would pass over it
        assert 'bbqrec_requests_total{route="/recommend/batch",status="200"} 1.0' in told
        assert 'bbqrec_batch_failures_total{status="500"} 1.0' in told
    away = as_problem(EngineAwayError("the engine process has ended"))
    assert (away.status, away.detail) == (503, "the engine process has ended")


def test_an_answer_that_is_too_slow_is_a_504(tiny: Bundle) -> None:
    scorer = FakeScorer()
    settings = Settings(bundle=tiny.directory, deadline=0.5)
    with TestClient(create_app(settings, loader(tiny, scorer))) as client:
        scorer.gate.clear()
        slow = client.post("/recommend", json={"history": ["item-1"]})
        scorer.gate.set()
        assert slow.status_code == 504
        assert slow.headers["retry-after"]
        assert "0.5 seconds" in slow.json()["detail"]
        assert client.post("/recommend", json={"history": ["item-2"]}).status_code == 200


def test_not_ready_before_a_model_is_loaded_and_while_draining(tiny: Bundle) -> None:
    app = create_app(Settings(bundle=tiny.directory), loader(tiny, FakeScorer()))
    unloaded = TestClient(app)  # not entered: nothing was loaded
    assert unloaded.get("/livez").status_code == 200
    for response in (unloaded.get("/readyz"), unloaded.get("/model")):
        assert response.status_code == 503
        assert response.headers["content-type"] == PROBLEM
    assert unloaded.post("/recommend", json={"history": []}).status_code == 503
    several = [{"history": ["item-1"]}]
    assert unloaded.post("/recommend/batch", json={"requests": several}).status_code == 503
    with TestClient(app) as client:
        assert client.get("/readyz").status_code == 200
        app.state.service.draining = True
        assert client.get("/readyz").json()["detail"] == "draining"
        assert client.post("/recommend", json={"history": ["item-1"]}).status_code == 200
        assert client.get("/livez").status_code == 200


def test_collections_do_not_walk_what_lives_as_long_as_the_service(tiny: Bundle) -> None:
    """A full one took 0.1 s and more, and every request of that moment waited for it."""
    gc.unfreeze()
    with TestClient(create_app(Settings(bundle=tiny.directory), loader(tiny, FakeScorer()))):
        assert gc.get_freeze_count() > len(gc.get_objects())
    assert gc.get_freeze_count() == 0


def test_what_is_in_flight_is_counted_and_what_is_answered_is_not(tiny: Bundle) -> None:
    scorer = FakeScorer()
    app = create_app(Settings(bundle=tiny.directory), loader(tiny, scorer))
    metrics: Metrics = app.state.service.metrics

    def in_flight() -> str:
        text = metrics.exposition().decode()
        return next(line for line in text.splitlines() if line.startswith(IN_FLIGHT))

    with TestClient(app) as client, ThreadPoolExecutor(3) as callers:
        assert in_flight() == f"{IN_FLIGHT} 0.0"
        scorer.gate.clear()
        ask = partial(client.post, "/recommend")
        asked = [callers.submit(ask, json={"history": [f"item-{n}"]}) for n in (1, 2, POISON)]
        assert eventually(lambda: in_flight() == f"{IN_FLIGHT} 3.0", 5)
        scorer.gate.set()
        assert sorted(answer.result().status_code for answer in asked) == [200, 200, 500]
        assert in_flight() == f"{IN_FLIGHT} 0.0"
        assert f"{IN_FLIGHT} 1.0" in client.get("/metrics").text  # the scrape


def test_the_latency_histogram_reaches_beyond_the_deadline() -> None:
    """A quantile cannot rise above the last bucket, and what is given up takes the deadline."""
    assert SECONDS[-1] >= 2 * Settings.model_fields["deadline"].default
    assert Settings.model_fields["deadline"].default in SECONDS


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("parent", [f"00-{TRACE}-00f067aa0ba902b7-01", "nonsense", None])
def test_a_slow_request_is_logged_with_its_id_and_its_trace(
    tiny: Bundle, caplog: pytest.LogCaptureFixture, parent: str | None
) -> None:
    """Exemplars, by which one would find it, need a single process."""
    headers = {"x-request-id": "slow-1"} | ({"traceparent": parent} if parent else {})
    app = create_app(Settings(bundle=tiny.directory, slow=1e-9), loader(tiny, FakeScorer()))
    with TestClient(app) as client:
        client.get("/livez", headers=headers)
    (line,) = [line for line in caplog.messages if line.startswith("slow:")]
    trace = TRACE if parent and TRACE in parent else "none"
    assert line.endswith(f"request slow-1, trace {trace}")
    assert "GET '/livez'" in line


def test_a_request_that_is_not_slow_is_not_logged(
    tiny: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(create_app(Settings(bundle=tiny.directory), loader(tiny, FakeScorer()))) as c:
        c.get("/livez")
    assert "slow:" not in caplog.text


def test_metrics_start_at_zero(tiny: Bundle) -> None:
    app = create_app(Settings(bundle=tiny.directory), loader(tiny, FakeScorer()))
    with TestClient(app) as client:
        text = client.get("/metrics").text
    for line in (
        *(f'bbqrec_requests_total{{route="/recommend",status="{s}"}} 0.0' for s in (200, 422, 500)),
        'bbqrec_fallbacks_total{reason="popular"} 0.0',
        'bbqrec_cache_lookups_total{backend="redis",result="miss"} 0.0',
        "bbqrec_cache_errors_total 0.0",
        'bbqrec_live_changes_total{kind="put",outcome="refused"} 0.0',
        "bbqrec_unknown_items_total 0.0",
        "bbqrec_batch_size_count 0.0",
    ):
        assert line in text
    for name in ("queue", "encode", "search"):
        assert f'bbqrec_{name}_seconds_bucket{{le="0.0005"}} 0.0' in text


def test_metrics_count_and_carry_no_item_or_path(client: TestClient, tiny: Bundle) -> None:
    client.post("/recommend", json={"history": ["item-3", "secret-item"]})
    client.post("/recommend", json={"history": []})
    client.get("/secret-path")
    client.get("/items/item-3")
    text = client.get("/metrics").text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    ok = 'route="/recommend",status="200"'
    assert float(samples[f"bbqrec_requests_total{{{ok}}}"]) >= 2
    assert float(samples[f"bbqrec_request_seconds_count{{{ok}}}"]) >= 2
    assert float(samples['bbqrec_cache_lookups_total{backend="process",result="hit"}']) >= 1
    assert float(samples["bbqrec_unknown_items_total"]) >= 1
    assert float(samples['bbqrec_fallbacks_total{reason="popular"}']) >= 1
    for name in ("queue_seconds", "encode_seconds", "search_seconds", "batch_size"):
        assert float(samples[f"bbqrec_{name}_count"]) >= 1
    assert samples['bbqrec_provider_info{provider="onnx-cpu"}'] == "1.0"
    assert (
        samples[f'bbqrec_model_info{{digest="{tiny.digest}",name="tiny",role="current"}}'] == "1.0"
    )
    assert samples['bbqrec_requests_total{route="other",status="404"}']
    assert samples['bbqrec_requests_total{route="/items/{item_id}",status="200"}']
    assert "secret" not in text


def test_requests_in_flight_finish_before_the_model_goes(tiny: Bundle) -> None:
    """What hot reload will stand on: closing an old model answers what it had accepted."""
    scorer = FakeScorer()
    app = create_app(Settings(bundle=tiny.directory), loader(tiny, scorer))

    async def scenario() -> list[int]:
        state = app.state.service
        generation = loader(tiny, scorer)(tiny.directory, state.settings, state.metrics)
        await generation.start()
        known = generation.recommender.codes.get(["item-1", "item-2", "item-3"])
        scorer.gate.clear()
        histories = [[codes] for codes in known if codes is not None]
        tasks = [
            asyncio.create_task(generation.batcher.candidates(h, 1, ANYTHING)) for h in histories
        ]
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(generation.close())
        await asyncio.sleep(0.02)
        scorer.gate.set()
        await closing
        return [int((await task).items_K[0]) for task in tasks]

    assert asyncio.run(scenario()) == [1, 2, 3]


def test_the_operator_sets_the_limits(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BBQREC_BUNDLE", str(tiny.directory))
    monkeypatch.setenv("BBQREC_MAX_K", "3")
    monkeypatch.setenv("BBQREC_MAX_HISTORY", "2")
    monkeypatch.setenv("BBQREC_MAX_EXCLUDE", "1")
    monkeypatch.setenv("BBQREC_REDIS_URL", "")  # as compose files leave it
    app = create_app(Settings(), loader(tiny, FakeScorer()))
    ids = ["item-1", "item-2"]
    with TestClient(app) as client:
        for field, value in {"k": 4, "history": [*ids, "item-3"], "exclude": ids}.items():
            refused = client.post("/recommend", json={"history": ids, "k": 1, field: value})
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["field"] == field
        assert client.post("/recommend", json={"history": ids, "k": 3}).status_code == 200


def test_every_provider_recommends_the_same(tiny: Bundle) -> None:
    answers = []
    for provider in ("cpu", "torch"):
        settings = Settings.model_validate({"bundle": tiny.directory, "provider": provider})
        with TestClient(create_app(settings)) as client:
            body = {"history": ["item-3", "item-8"], "k": 20}
            answers.append(client.post("/recommend", json=body).json()["items"])
            assert client.get("/model").json()["provider"].endswith("cpu")
    onnx, torch = answers
    assert [item["item_id"] for item in onnx] == [item["item_id"] for item in torch]
    assert [i["score"] for i in onnx] == pytest.approx([i["score"] for i in torch], abs=1e-4)
