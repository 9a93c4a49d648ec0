"""``python -m benchmarks.month``: a shop whose assortment and tastes drift, served for 30 days.

What users would do is known, so each answer is judged by it: the clicks to be expected of the ten
that were shown, as a share of those of the best ten there are. The service is the real one, asked
and told over HTTP; nights train with the real command. Whatever is done already is not done again.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from benchmarks.month.report import report
from benchmarks.month.serving import DAY, WAYS, Files, Served, Use, Way
from benchmarks.month.shop import Drift, Shop
from benchmarks.reliability.program import running

RESULTS = Path(__file__).parents[2] / "docs" / "benchmarks"
BEFORE = 20  # days of the shop's life without a service
_USERS, _ITEMS = 500, 400
_SESSIONS = 200  # a day, of 3 to 6 steps


def main(
    seeds: Annotated[int, typer.Option(help="Shops.")] = 2,
    days: Annotated[int, typer.Option(help="Each is served for.")] = 30,
    results: Annotated[Path, typer.Option(help="Folder that is written to.")] = RESULTS,
) -> None:
    """Run what is not there yet, then write the table and the plot."""
    kept = results / "month.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for seed in range(seeds):
        for way in WAYS:
            if not any((row["seed"], row["way"]) == (seed, way) for row in rows):
                new = [{"seed": seed, "way": way} | row for row in month(seed, way, days)]
                with kept.open("a", encoding="utf-8") as file:
                    file.writelines(f"{json.dumps(row)}\n" for row in new)
                rows += new
    report(rows, results)


def month(seed: int, way: Way, days: int) -> list[dict[str, Any]]:
    """A row a day: share of the best possible clicks, of answers that show what is gone..."""
    shop = Shop(seed, BEFORE + days, _USERS, _ITEMS, Drift())
    dice = np.random.default_rng([seed, 1])
    histories: list[list[int]] = [[] for _ in range(_USERS)]
    uses: list[tuple[int, Use]] = []
    for day in range(BEFORE):
        shop.next_day()
        uses += [(day, use) for use in _day(shop, histories, dice, None, day, [])]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        files = Files(Path(scratch) / "shop", BEFORE + days)
        files.write_log(uses)
        files.write_items(shop)
        Console().print(f"shop {seed}, {way}: {files.train()}", markup=False)
        events = str(files.folder / "events") if way == "loop" else f"{scratch}/events"
        with running(
            files.folder / "out",
            live=f"{scratch}/live", events=events, impressions="0", store_every="0.5",
        ) as program:  # fmt: skip
            served = Served(way, files, program.port)
            served.change(shop, np.empty(0, np.int64), shop.gone())
            for day in range(BEFORE, BEFORE + days):
                served.change(shop, *shop.next_day())
                judged: list[dict[str, float]] = []
                _day(shop, histories, dice, served, day, judged)
                began = time.monotonic()
                row = _row(judged) | {"day": day - BEFORE + 1, "night": served.night(shop)}
                row["seconds"] = time.monotonic() - began
                Console().print(seed, way, row, markup=False)
                rows.append(row)
    return rows


def _day(
    shop: Shop,
    histories: list[list[int]],
    dice: np.random.Generator,
    served: Served | None,
    day: int,
    judged: list[dict[str, float]],
) -> Sequence[Use]:
    """What users do: take the first of the shown that they click on, or look for one themselves."""
    uses = []
    begins = np.sort(dice.integers(DAY - 600, size=_SESSIONS))
    for begin in begins.tolist():
        user = int(dice.integers(len(histories)))
        for step in range(int(dice.integers(3, 7))):
            history = histories[user]
            chance_I = shop.chances(user, history)
            item = int(dice.choice(len(chance_I), p=chance_I / chance_I.sum()))
            if served is not None:
                shown = served.recommend(user, history)
                judged.append(_judge(shop, chance_I, shown))
                clicked = dice.random(len(shown)) < chance_I[shown]
                item = next((i for i, taken in zip(shown, clicked, strict=True) if taken), item)
            history.append(item)
            use = Use(user, item, begin + 60 * step)
            if served is not None:
                served.tell(use, day)
            uses.append(use)
    return uses


def _judge(shop: Shop, chance_I: Any, shown: list[int]) -> dict[str, float]:
    best = np.partition(chance_I, -len(shown))[-len(shown) :]
    return {
        "clicks": float(chance_I[shown].sum()),
        "best": float(best.sum()),
        "gone": float((~shop.there_I[shown]).mean()),
        "new": float((shop.born_I[shown] > BEFORE).mean()),
        "best_new": float((shop.born_I[np.argsort(-chance_I)[: len(shown)]] > BEFORE).mean()),
    }


def _row(judged: list[dict[str, float]]) -> dict[str, Any]:
    mean = {name: float(np.mean([each[name] for each in judged])) for name in judged[0]}
    share = mean["clicks"] / mean["best"]
    return {"share": share, "answers": len(judged)} | {k: round(v, 4) for k, v in mean.items()}


if __name__ == "__main__":
    typer.run(main)
