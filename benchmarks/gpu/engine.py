"""From histories to the best 100, whether all engines answer alike, and on what they spend it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from rich.console import Console

from benchmarks.gpu.rows import OUT, Row, Where, median
from benchmarks.memory_cost import drawn_memory
from benchmarks.serving import drawn_bundle
from models.contract.bundle import Bundle
from models.contract.catalogue import Catalogue
from models.contract.types import ItemCodes
from service.engine.choose import make_engine
from service.engine.device import DeviceEngine
from service.engine.engine import Engine
from service.engine.scorer import OnnxScorer
from service.engine.torch_engine import TorchEngine
from service.retrieval.live import nothing_lives
from service.retrieval.selection import Selection
from service.runtime import ProviderError
from service.settings import Provider, Settings

ITEMS, _LARGE, _FOLLOWERS = 12_000, 1_000_000, 200
_K, _LONGEST = 100, 50
_GOALS = {ITEMS: {1: 0.4, 32: 0.6, 256: 1.5}, _LARGE: {1: 0.6, 32: 1.0, 256: 3.0}}  # ms
_OTHER_GOAL = 0.01  # of lists, but for ties: products of less than float32 would change more
_RATE_GOAL = 200_000  # histories a second of real lengths


def drawn(where: Where) -> Bundle:
    """A bundle of few items, which all parts share: to export one takes its time."""
    items = 2_000 if where.small else ITEMS
    return drawn_bundle.write(where.scratch / "bundle", drawn_bundle.WIDE, items)


def engines(where: Where) -> Iterator[Row]:
    """Over few items, without and with a memory, and over many."""
    bundle = drawn(where)
    items = len(bundle.catalogue)
    yield from _engines_of(bundle, where, f"{items:,} items")
    memory = drawn_memory(items, _FOLLOWERS, np.random.default_rng(0))
    yield from _engines_of(replace(bundle, memory=memory), where, f"{items:,} items, with a memory")
    if not where.small:
        yield from _engines_of(_grown(bundle, _LARGE), where, f"{_LARGE:,} items")


def profile(where: Where) -> Iterator[Row]:
    """Kernels of a batch of the torch engine, in tables of their own."""
    bundle = drawn(where)
    live = nothing_lives(*bundle.item_vectors_ND.shape)
    engine = TorchEngine(bundle, where.device, live)
    for batch in 1, 32:
        histories = histories_of(bundle, [_LONGEST] * batch)
        took = median(lambda: _candidates(engine, histories, _K), where)  # noqa: B023
        with torch.profiler.profile() as seen:
            _candidates(engine, histories, _K)
        order = "self_cuda_time_total" if where.on_gpu else "self_cpu_time_total"
        table = seen.key_averages().table(sort_by=order, row_limit=30)
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"gpu-profile-{batch}.txt").write_text(table, encoding="utf-8")
        yield Row("profiled", f"{batch} histories, {engine.provider}", took, "ms")


def _engines_of(bundle: Bundle, where: Where, told: str) -> Iterator[Row]:
    batches, asked = ((1, 32), 40) if where.small else ((1, 32, 256), 500)
    histories = histories_of(bundle, [_LONGEST] * asked)
    real = histories_of(bundle, drawn_bundle.lengths(batches[-1]))
    items = len(bundle.catalogue)
    expected: Any = None
    for engine in each_engine(bundle, where, batches[-1]):
        size = f"{told}, {engine.provider} ({type(engine).__name__})"
        found = _candidates(engine, histories, 10).items_BK
        first, expected = expected is None, found if expected is None else expected
        if not first:
            other = float((found != expected).any(axis=1).mean())
            yield Row("other top-10 than on the CPU", size, other, "share", goal=_OTHER_GOAL)
        elif items == _LARGE:
            continue  # it takes its time, and that is known
        for batch in batches:
            took = median(lambda: _candidates(engine, histories[:batch], _K), where)  # noqa: B023
            goal = None if first else _GOALS.get(items, {}).get(batch)
            yield Row("engine, best 100", f"{size}, {batch} histories", took, "ms", goal=goal)
        took = median(lambda: _candidates(engine, real, _K), where)  # noqa: B023
        goal = _RATE_GOAL if items == ITEMS and bundle.memory is None and not first else None
        size, rate = f"{size}, {len(real)} histories of real lengths", 1000 * len(real) / took
        yield Row("engine", size, rate, "histories a second", goal=goal)


def each_engine(bundle: Bundle, where: Where, max_batch: int) -> Iterator[Engine]:
    """The CPU's first, then those of a GPU, or with a CPU in its place."""
    settings = Settings(bundle=bundle.directory, provider="cpu", max_batch=max_batch)
    yield make_engine(bundle, settings)
    if not where.on_gpu:
        live = nothing_lives(*bundle.item_vectors_ND.shape)
        yield TorchEngine(bundle, "cpu", live)
        yield DeviceEngine(OnnxScorer(bundle, "cpu", 1), 1, live)
        return
    providers: Sequence[Provider] = ("torch-cuda", "cuda")
    for provider in providers:
        try:
            yield make_engine(bundle, settings.model_copy(update={"provider": provider}))
        except ProviderError as error:
            Console().print(f"{provider}: {error}", markup=False)


def _grown(bundle: Bundle, items: int) -> Bundle:
    """The same model over so many items: to export it with them takes minutes."""
    random, few = np.random.default_rng(0), len(bundle.catalogue)
    vectors, table = bundle.vectors, bundle.semantic_ids
    scored_ND = random.standard_normal((items, vectors.scored_ND.shape[1]), np.float32)
    read_NW = random.standard_normal((items, vectors.read_NW.shape[1]), np.float32)
    codes_NS = table.codes_NS[random.integers(0, few, items)]
    return replace(
        bundle,
        catalogue=cast(Catalogue, range(items)),  # whose length alone an engine asks for
        vectors=replace(vectors, scored_ND=scored_ND, read_NW=read_NW),
        semantic_ids=replace(table, codes_NS=codes_NS),
    )


def histories_of(bundle: Bundle, lengths: Sequence[int]) -> list[list[ItemCodes]]:
    random, codes_NS = np.random.default_rng(0), bundle.semantic_ids.codes_NS
    drawn = (random.integers(0, len(codes_NS), size).tolist() for size in lengths)
    return [[ItemCodes(row, codes_NS[row]) for row in rows] for rows in drawn]


def _candidates(engine: Engine, histories: Sequence[list[ItemCodes]], k: int) -> Any:
    seen = [Selection(np.unique([item.item_index for item in history])) for history in histories]
    return engine.candidates(histories, [k] * len(histories), seen).found
