"""Leases, shares and roles: what a request gets, and when what it got is closed."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from models.contract.bundle import Bundle
from models.contract.store import Role
from service.generation.generation import Generation
from service.generation.registry import NotReadyError, Registry, place
from service.metrics import Metrics
from service.retrieval.selection import ANYTHING
from service.settings import Settings
from tests.service.fakes import FakeScorer, loader


def generation(bundle: Bundle, metrics: Metrics, scorer: FakeScorer | None = None) -> Generation:
    load = loader(bundle, scorer or FakeScorer())
    return load(bundle.directory, Settings(bundle=bundle.directory), metrics)


def running(generation: Generation) -> bool:
    return generation.batcher.running


def test_a_lease_outlives_a_swap_and_the_last_one_closes(tiny: Bundle) -> None:
    async def scenario() -> None:
        metrics = Metrics()
        registry = Registry(metrics)
        old, new = generation(tiny, metrics), generation(tiny, metrics)
        for each in (old, new):
            await each.start()
        registry.put("current", old)
        async with registry.lease() as first, registry.lease() as second:
            registry.put("current", new)
            await asyncio.sleep(0.05)
            assert first is second is old
            assert running(old)
            codes = old.recommender.codes.get(["item-1"])
            assert (await old.batcher.candidates(codes, 1, ANYTHING)).items_K.tolist() == [1]  # type: ignore[arg-type]
            async with registry.lease() as third:
                assert third is new
        await asyncio.sleep(0.05)
        assert not running(old)
        assert running(new)
        await registry.close()
        assert not running(new)
        with pytest.raises(NotReadyError):
            registry.lease()

    asyncio.run(scenario())


def test_a_lease_ends_with_an_error_too(tiny: Bundle) -> None:
    async def scenario() -> None:
        metrics = Metrics()
        registry, served = Registry(metrics), generation(tiny, metrics)
        await served.start()
        registry.put("current", served)
        with pytest.raises(ZeroDivisionError):
            async with registry.lease():
                raise ZeroDivisionError
        assert served.leases == 0
        await registry.close()

    asyncio.run(scenario())


def test_a_canary_takes_its_share_and_keeps_its_callers(tiny: Bundle) -> None:
    async def scenario() -> None:
        metrics = Metrics()
        registry = Registry(metrics, canary_share=0.2)
        current, canary = generation(tiny, metrics), generation(tiny, metrics)
        registry.put("current", current)
        registry.put("canary", canary)
        keys = [f"user-{n}" for n in range(10_000)]
        got = [registry.lease(key).generation for key in keys]
        assert got == [registry.lease(key).generation for key in keys]
        assert Counter(got)[canary] == pytest.approx(2_000, abs=200)
        registry.put("canary", None)
        assert {registry.lease(key).generation for key in keys} == {current}

    asyncio.run(scenario())


@pytest.mark.parametrize("pattern", ["{}", "user-{:08}", "{}@example.org"])
def test_callers_are_split_as_told_and_few_move_when_the_share_does(pattern: str) -> None:
    """Within half a percent of 100,000, whatever the names; another canary has other callers."""
    at = np.array([place(pattern.format(n), "9f1c") for n in range(100_000)])
    for share in (0.01, 0.1, 0.5):
        assert abs((at < share).mean() - share) < 0.005
    moved = (at < 0.1) != (at < 0.15)
    assert abs(moved.mean() - 0.05) < 0.005
    other = np.array([place(pattern.format(n), "03ab") for n in range(100_000)])
    assert abs(((at < 0.1) & (other < 0.1)).mean() - 0.01) < 0.002


def test_a_canary_that_becomes_current_is_not_closed(tiny: Bundle) -> None:
    async def scenario() -> None:
        metrics = Metrics()
        registry = Registry(metrics)
        old, new = generation(tiny, metrics), generation(tiny, metrics)
        for each in (old, new):
            await each.start()
        registry.put("current", old)
        registry.put("canary", new)
        registry.put("current", new)
        registry.put("canary", None)
        await asyncio.sleep(0.05)
        assert running(new)
        assert not running(old)
        await registry.close()

    asyncio.run(scenario())


def test_a_canary_that_became_current_is_told_of_as_current(tiny: Bundle) -> None:
    async def scenario() -> None:
        metrics = Metrics()
        registry = Registry(metrics)
        current, canary = generation(tiny, metrics), generation(tiny, metrics)
        roles: dict[Role, Generation] = {"current": current, "canary": canary}
        for role, each in roles.items():
            await each.start()
            registry.put(role, each)
        assert [registry.role_of(each) for each in (current, canary)] == ["current", "canary"]
        registry.put("current", canary)
        assert registry.role_of(canary) == "current"
        await registry.close()

    asyncio.run(scenario())
