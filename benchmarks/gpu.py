"""What a GPU gives: ``python -m benchmarks.gpu``, on any machine where torch finds one; no network.

Results go to the folder $OUT as they come (docs/benchmarks without it): ``gpu.json``, rows of
{what, size, value, unit, floor, goal, met, device}, and ``gpu.md``. ``--device cpu --small`` runs
the same code anywhere, which says nothing of a GPU.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks import epochs_like_beauty
from benchmarks.memory_cost import drawn_memory
from benchmarks.serving import drawn_bundle
from benchmarks.train_1m import measure
from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.engine.choose import make_engine
from service.engine.device import DeviceEngine
from service.engine.engine import Engine
from service.engine.scorer import OnnxScorer
from service.engine.staged import Among, Items, best, best_in_full
from service.engine.torch_engine import TorchEngine
from service.retrieval.live import nothing_lives
from service.retrieval.selection import Selection
from service.runtime import ProviderError
from service.settings import Provider, Settings
from training.config import FitConfig

_OUT = Path(os.environ.get("OUT", Path(__file__).parents[1] / "docs" / "benchmarks"))
_WIDTH, _K, _TURNS = 192, 100, 20
_SEARCH_GOALS = {1: 1.6, 32: 2.2, 128: 5.0}  # ms over ten million items
_EPOCH_GOAL = 0.4  # s over a log like Beauty's
_ENGINE_GOALS = {1: 0.4, 32: 0.6, 256: 1.5}  # ms over 12,000
_LARGE_GOALS = {1: 0.6, 32: 1.0, 256: 3.0}  # ms over a million
_MANY = 256
PARTS = "search", "engine", "train", "profile"


class Row(NamedTuple):
    """A figure. floor: what the machine needs at least. met: None where there is no goal."""

    what: str
    size: str
    value: float
    unit: str
    device: str
    floor: float | None = None
    goal: float | None = None

    def told(self) -> dict[str, Any]:
        """As it is written."""
        met = None if self.goal is None else self.value <= self.goal
        return self._asdict() | {"met": met}


def main(
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    parts: Annotated[str, typer.Option(help="Of search, engine, train, profile.")] = ",".join(
        PARTS
    ),
    small: Annotated[bool, typer.Option(help="To see that it runs.")] = False,
) -> None:
    """Measure, and write what was measured after each row."""
    if device == "cuda" and not torch.cuda.is_available():
        Console().print("torch finds no CUDA device here; --device cpu --small runs the same code")
        raise typer.Exit(1)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu (a stand-in)"
    rows: list[dict[str, Any]] = []
    measured: dict[str, Callable[..., Iterator[Row]]] = {
        "search": search, "engine": engines, "train": train, "profile": profile,
    }  # fmt: skip
    for part in parts.split(","):
        for row in measured[part](device, name, small):
            rows.append(row.told())
            Console().print(rows[-1])
            write(rows)


def search(device: str, name: str, small: bool) -> Iterator[Row]:
    """Exact top-100 alone: by stages, by bound, beside reading every vector once."""
    speed = _copy_speed(device, small)
    for size in (12_000,) if small else (12_000, 1_000_000, 10_000_000):
        items = Items.room(size, _WIDTH, torch.device(device))
        items.put(0, torch.randn(size, _WIDTH, device=device))
        nobody = torch.empty((0, 2), dtype=torch.long, device=device)
        for masked in 0.0, 0.99:
            added_N = torch.zeros(len(items.scan_RD), device=device)
            added_N[torch.rand(len(added_N), device=device) < masked] = -torch.inf
            added_N[size:] = -torch.inf
            for batch in (1, 32) if small else _SEARCH_GOALS:
                asked = items, torch.randn(batch, _WIDTH, device=device), Among(added_N, nobody), _K
                took = _median(lambda: best(*asked), device)  # noqa: B023
                told = f"{size:,} items, {batch} queries" + (
                    f", {masked:.0%} masked" if masked else ""
                )
                goal = _SEARCH_GOALS.get(batch) if size == 10_000_000 else None
                floor = 1000 * 2 * size * _WIDTH / speed
                yield Row("exact top-100", told, took, "ms", name, floor, goal)
                found = best(*asked)
                yield Row("queries scored in full", told, _share(~found.shown_B), "share", name)
                every = best_in_full(*asked)
                lost = 1 - _share(torch.isin(found.rows_BK, every.rows_BK))
                yield Row("lost of float32's", told, lost, "share", name, goal=0.0)


def engines(device: str, name: str, small: bool) -> Iterator[Row]:
    """From histories to the best 100, and whether all engines answer alike."""
    for items in (2_000,) if small else (12_000, 1_000_000):
        few = items < 1_000_000
        memory = drawn_memory(items, 200, np.random.default_rng(0)) if few else None
        with tempfile.TemporaryDirectory() as scratch:
            for remembers in (None, memory) if few else (None,):
                where = Path(scratch) / f"{remembers is not None}"
                bundle = drawn_bundle.write(where, drawn_bundle.WIDE, items, memory=remembers)
                told = f"{items:,} items" + (", with a memory" if remembers else "")
                yield from _engines_of(bundle, device, name, small, told)


def _engines_of(bundle: Bundle, device: str, name: str, small: bool, told: str) -> Iterator[Row]:
    histories = _histories(bundle, [50] * (40 if small else 500))
    many = 32 if small else _MANY
    real = _histories(bundle, drawn_bundle.lengths(many))
    answers: dict[str, Any] = {}
    for engine in _engines(bundle, device):
        size = f"{told}, {engine.provider} ({type(engine).__name__})"
        answers[size] = _candidates(engine, histories, 10).items_BK
        for batch in (1, 32) if small else _ENGINE_GOALS:
            took = _median(lambda: _candidates(engine, histories[:batch], _K), device)  # noqa: B023
            goals = _ENGINE_GOALS if len(bundle.catalogue) == 12_000 else _LARGE_GOALS
            goal = None if small or not answers else goals[batch]
            yield Row("engine, best 100", f"{size}, {batch} histories", took, "ms", name, goal=goal)
        took = _median(lambda: _candidates(engine, real, _K), device)  # noqa: B023
        rate, most = many / took * 1000, f"{size}, {many} histories of real lengths"
        yield Row("engine", most, rate, "histories a second", name)
    first, *others = answers
    for other in others:
        unlike = (answers[other] != answers[first]).any(axis=1)
        yield Row("other top-10 than on the CPU", other, float(unlike.mean()), "share", name)


def _engines(bundle: Bundle, device: str) -> Iterator[Engine]:
    """The CPU's first, then those of a GPU, or with a CPU in its place."""
    settings = Settings(bundle=bundle.directory, provider="cpu", max_batch=_MANY)
    yield make_engine(bundle, settings)
    if device == "cpu":
        live = nothing_lives(*bundle.item_vectors_ND.shape)
        yield TorchEngine(bundle, "cpu", live)
        scorer = OnnxScorer(bundle, "cpu", 1)
        yield DeviceEngine(scorer, bundle.item_vectors_ND, 1, live, bundle.memory)
        return
    providers: Sequence[Provider] = ("torch-cuda", "cuda")
    for provider in providers:
        try:
            yield make_engine(bundle, settings.model_copy(update={"provider": provider}))
        except ProviderError as error:
            Console().print(f"{provider}: {error}", markup=False)


def profile(device: str, name: str, small: bool) -> Iterator[Row]:
    """On what a batch of the torch engine spends its time: tables of the kernels, in files."""
    with tempfile.TemporaryDirectory() as scratch:
        items = 2_000 if small else 12_000
        bundle = drawn_bundle.write(Path(scratch) / "bundle", drawn_bundle.WIDE, items)
        live = nothing_lives(*bundle.item_vectors_ND.shape)
        engine = TorchEngine(bundle, "cuda" if device == "cuda" else "cpu", live)
        histories = _histories(bundle, [50] * 32)
        for batch in 1, 32:
            some = histories[:batch]
            took = _median(lambda: _candidates(engine, some, _K), device)  # noqa: B023
            with torch.profiler.profile() as seen:
                _candidates(engine, some, _K)
            order = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
            table = seen.key_averages().table(sort_by=order, row_limit=30)
            (_OUT / f"gpu-profile-{batch}.txt").write_text(table, encoding="utf-8")
            yield Row("profiled", f"{batch} histories, {engine.provider}", took, "ms", name)


def train(device: str, name: str, small: bool) -> Iterator[Row]:
    """Epochs over a log like Beauty's; then steps over many items, beside this machine's CPU."""
    accelerator: Literal["cpu", "gpu"] = "gpu" if device == "cuda" else "cpu"
    for way, epoch in epochs_like_beauty.measure(accelerator, small=small):
        goal = _EPOCH_GOAL if way.as_default else None
        yield Row("training, like Beauty", way.told, epoch.training, "s an epoch", name, goal=goal)
        yield Row("with validation and checkpoints", way.told, epoch.whole, "s an epoch", name)
    items, few = (2_000, 1_000) if small else (1_000_000, 100_000)
    here: Literal["cpu", "gpu"] = "cpu"
    for where, rows_from in dict.fromkeys(((accelerator, items), (accelerator, few), (here, few))):
        steps = 3 if small or where == "cpu" else 20
        found = measure(items, rows_from, steps, torch.get_num_threads(), where)
        told = "every row updated" if rows_from == items else "touched rows updated"
        rate = FitConfig().batch_tokens / found["seconds"]
        size = f"{items:,} items, {told}, {where}"
        yield Row("training, steps of 8,192", size, rate, "positions a second", name)


def write(rows: Sequence[dict[str, Any]]) -> None:
    """All so far."""
    _OUT.mkdir(parents=True, exist_ok=True)
    (_OUT / "gpu.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    lines = ["| what | size | value | floor | goal | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        floor, goal, met = (_cell(row[name]) for name in ("floor", "goal", "met"))
        value = f"{row['value']:.4g} {row['unit']}"
        lines.append(f"| {row['what']} | {row['size']} | {value} | {floor} | {goal} | {met} |")
    text = f"# On {rows[0]['device']}\n\n`python -m benchmarks.gpu`\n\n" + "\n".join(lines) + "\n"
    (_OUT / "gpu.md").write_text(text, encoding="utf-8")


def _cell(value: float | bool | None) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.3g}"


def _median(call: Callable[[], object], device: str) -> float:
    """Milliseconds, to the end of what the device was asked for."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(4):
        call()
    taken = []
    for _ in range(_TURNS):
        wait()
        began = time.perf_counter()
        call()
        wait()
        taken.append(time.perf_counter() - began)
    return 1000 * float(np.median(taken))


def _copy_speed(device: str, small: bool) -> float:
    """Bytes a second that can be read."""
    source = torch.empty(2**24 if small else 2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 1000 * 2 * len(source) / _median(lambda: target.copy_(source), device)


def _share(true_B: torch.Tensor) -> float:
    return float(true_B.float().mean())


def _histories(bundle: Bundle, lengths: Sequence[int]) -> list[list[ItemCodes]]:
    random, codes_NS = np.random.default_rng(0), bundle.semantic_ids.codes_NS
    drawn = (random.integers(0, len(codes_NS), size).tolist() for size in lengths)
    return [[ItemCodes(row, codes_NS[row]) for row in rows] for rows in drawn]


def _candidates(engine: Engine, histories: Sequence[list[ItemCodes]], k: int) -> Any:
    seen = [Selection(np.unique([item.item_index for item in history])) for history in histories]
    return engine.candidates(histories, [k] * len(histories), seen).found


if __name__ == "__main__":
    typer.run(main)
