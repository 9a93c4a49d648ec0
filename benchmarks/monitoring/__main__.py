"""``python -m benchmarks.monitoring``: a real Prometheus watches a real service through a story.

Prints which alerts fired in which act, and whether any panel of the dashboards stayed empty; with
``--draw`` each dashboard's series are drawn. Windows of rules are shorter than in production by one
factor; nothing else differs. It needs `prometheus` on the PATH (Debian's package of that name).
"""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.monitoring import plots
from benchmarks.monitoring.prometheus import Prometheus, scraping
from benchmarks.monitoring.redis import Redis
from benchmarks.monitoring.story import SCENARIOS_FILE, Shop, Told, prepare
from benchmarks.monitoring.traffic import Traffic
from benchmarks.reliability.live_shop import shop
from scripts.monitoring.alerts import alerts
from scripts.monitoring.dashboards import DASHBOARDS
from scripts.monitoring.objectives import Pace

PACE = Pace(faster=90)
NEVER = {"BbqrecGpuMissing": "a service that gets no GPU does not start"}


def main(
    draw: Annotated[Path | None, typer.Option(help="Folder that pictures go to.")] = None,
) -> None:
    """Exit with 1 where an alert did not fire in its act, or a panel is empty."""
    with tempfile.TemporaryDirectory(prefix="bbqrec-story-") as made, ExitStack() as stack:
        folder = Path(made).resolve()
        bodies = prepare(folder)
        cache, log = Redis(folder / "cache"), Redis(folder / "log")
        stack.callback(cache.stop)
        stack.callback(log.stop)
        output = folder / "output"
        given = {
            "redis_url": cache.url,
            "log_url": log.url,
            "scenarios": f"{folder / SCENARIOS_FILE}",
        }
        program = stack.enter_context(shop(output, store_every="1", **given))
        prometheus = stack.enter_context(scraping(program.port, PACE, folder))
        traffic = stack.enter_context(Traffic(program.port, bodies))
        told = Shop(folder, program, cache, log, traffic).tell(prometheus)
        console = Console()
        console.print(table(told))
        missing = not_fired(told)
        empty = empty_panels(prometheus, told)
        if draw is not None:
            for name, dashboard in DASHBOARDS.items():
                plots.draw(dashboard, prometheus, told, draw / f"dashboards-{name}.png")
    panels = sum(len(dashboard.panels()) for dashboard in DASHBOARDS.values())
    console.print(f"{panels} panels, {len(empty)} without data: {', '.join(empty) or 'none'}")
    console.print(f"alerts that did not fire in their act: {', '.join(missing) or 'none'}")
    sys.exit(bool(missing or empty))


def table(told: Sequence[Told]) -> Table:
    """Alerts by acts: seconds from the act's begin until each was firing."""
    result = Table(
        "alert", *(str(n) for n in range(1, len(told) + 1)), title="seconds into each act"
    )
    for name in [alert.name for alert in alerts(PACE)]:
        cells = [_cell(name, act) for act in told]
        result.add_row(name, *(cells if name not in NEVER else ["-"] * len(told)))
    acts = (f"{n}: {act.act.name}, {act.end - act.start:.0f} s" for n, act in enumerate(told, 1))
    result.caption = "\n".join([*acts, *(f"- {name}: {why}" for name, why in NEVER.items())])
    return result


def _cell(name: str, told: Told) -> str:
    if name not in told.fired:
        return "missing" if name in told.act.alerts else ""
    seconds = f"{max(0.0, told.fired[name] - told.start):.0f}"
    return f"[bold]{seconds}[/bold]" if name in told.act.alerts else seconds


def not_fired(told: Sequence[Told]) -> list[str]:
    """Alerts that an act should have set off, and did not; and any that no act is for."""
    expected = {name for act in told for name in act.act.alerts}
    forgotten = {alert.name for alert in alerts(PACE)} - expected - NEVER.keys()
    return sorted({*forgotten, *(n for act in told for n in act.act.alerts - act.fired.keys())})


def empty_panels(prometheus: Prometheus, told: Sequence[Told]) -> list[str]:
    """Panels that none of whose expressions ever had a number."""
    start, end = told[0].start, told[-1].end
    return [
        f"{name}: {panel.title}"
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard.panels()
        if not any(prometheus.ask(target.expr, start, end) for target in panel.targets)
    ]


if __name__ == "__main__":
    typer.run(main)
