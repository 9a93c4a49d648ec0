"""Prepare 20 million generated interactions: time and peak memory, beside what is aimed for.

python -m benchmarks.prepare_20m [--rows 20000000] [--format parquet|csv] [--folder /tmp]

The log is generated: users and items are skewed like in real shops, ids are strings. Reading,
validation, k-core 5, indexing, the split and writing are timed in a child process of their own,
whose peak memory is what the operating system says. Everything is removed at the end.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.config import InteractionsConfig, RunConfig
from training.data.dataset import DatasetCard
from training.data.prepare import prepare

AIM_SECONDS, AIM_GB = 180, 8
CHUNK = 2_000_000
Kind = Literal["parquet", "csv"]


class Outcome(NamedTuple):
    """What the child reports."""

    card: DatasetCard
    seconds: float
    peak_gb: float


def generate(path: Path, rows: int, kind: Kind) -> None:
    """Write the log, in pieces: one file of CSV, or a folder of Parquet."""
    users, items = max(rows // 33, 10), max(rows // 200, 10)
    path.mkdir() if kind == "parquet" else path.touch()
    starts = range(0, rows, CHUNK)
    for number, start in enumerate(track(starts, "generate", transient=True)):
        piece = _piece(number, min(CHUNK, rows - start), users, items)
        if kind == "parquet":
            piece.write_parquet(path / f"{number:04}.parquet")
        else:
            with path.open("ab") as file:
                piece.write_csv(file, include_header=number == 0)


def _piece(seed: int, rows: int, users: int, items: int) -> pl.DataFrame:
    """Items by a power law; users log-normally active; time passes from piece to piece."""
    random = np.random.default_rng(seed)
    user = (random.beta(1.0, 2.5, rows) * users).astype(np.int64)
    item = (items * random.random(rows) ** 3).astype(np.int64)
    begin = 1_600_000_000 + seed * 1_000_000
    frame = pl.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "timestamp": np.sort(random.integers(begin, begin + 1_000_000, rows)),
            "rating": random.integers(1, 6, rows),
        }
    )
    return frame.with_columns(
        pl.format("customer-{}", pl.col("user_id").cast(pl.String).str.zfill(8)),
        pl.format("B{}", pl.col("item_id").cast(pl.String).str.zfill(9)),
    )


def measure(config: RunConfig, folder: Path) -> Outcome:
    """Prepare in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_measured, config, folder).result()
        except BrokenProcessPool:
            sys.exit("the child process died; did it run out of memory?")


def _measured(config: RunConfig, folder: Path) -> Outcome:
    started = time.perf_counter()
    card = prepare(config, folder)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Outcome(card, seconds, peak / (1e9 if sys.platform == "darwin" else 1e9 / 1024))


def show(rows: int, kind: Kind, outcome: Outcome) -> None:
    """The table people read."""
    card, seconds, peak = outcome
    table = Table()
    for name in ("", "measured", "aim", ""):
        table.add_column(name, justify="right")
    for name, value, aim, unit in (
        ("time", seconds, AIM_SECONDS, "s"),
        ("peak memory", peak, AIM_GB, "GB"),
    ):
        verdict = "[green]ok[/]" if value <= aim else "[red]missed[/]"
        table.add_row(name, f"{value:.1f} {unit}", f"{aim} {unit}", verdict)
    table.add_row("speed", f"{rows / seconds:,.0f} rows/s", "", "")
    console = Console()
    console.print(f"prepare: {rows:,} generated interactions as {kind}, {os.cpu_count()} cores")
    console.print(table)
    console.print(
        f"kept by k-core 5: {card.interactions:,} interactions, {card.users:,} users, "
        f"{card.items:,} items"
    )


def main() -> None:
    """Generate, measure, show, clean up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="prepare-20m-") as name:
        folder = Path(name)
        log = folder / ("log" if options.format == "parquet" else "log.csv")
        generate(log, options.rows, options.format)
        config = RunConfig(
            name="prepare-20m", output=folder, interactions=InteractionsConfig(path=log)
        )
        show(options.rows, options.format, measure(config, folder / "prepare"))


if __name__ == "__main__":
    main()
