"""``bbqrec-serve BUNDLE``: serve a run's bundles, or one, over HTTP."""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from service.process.faults import exit_clearly
from service.process.server import bind, serve, start_logging, where
from service.process.workers import Workers
from service.settings import Settings

log = logging.getLogger("bbqrec")
# No markup: it would take "[env: ...]" for a style.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def settings_help() -> str:
    """A line for every setting of the environment, with its default."""
    # \b has click keep the lines of its paragraph as they are.
    lines = ["Settings of the environment, in seconds and bytes (an option wins):", "", "\b"]
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or field.default is None else f" [{_told(field)}]"
        lines.append(f"BBQREC_{name.upper()}{default}: {field.description}")
    return "\n".join(lines)


def _told(field: FieldInfo) -> str:
    """A default as the environment would have it."""
    value = field.default
    return json.dumps(sorted(value)) if isinstance(value, frozenset) else str(value)


@app.command(epilog=settings_help())
def run(
    bundle: Annotated[
        Path | None, typer.Argument(help="A run's output folder, or one bundle's.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: any free one.")] = None,
    provider: Annotated[
        str | None, typer.Option(help="auto, cpu, cpu-int8, cuda, torch or torch-cuda.")
    ] = None,
    redis_url: Annotated[str | None, typer.Option(help="Share item codes there.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes behind the port.")] = None,
) -> None:
    """Serve BUNDLE: POST /recommend, GET /model, /metrics, /livez, /readyz and /docs."""
    given: dict[str, Any] = {
        "bundle": bundle, "host": host, "port": port, "provider": provider,
        "redis_url": redis_url, "workers": workers,
    }  # fmt: skip
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    start_logging()
    listener = bind(settings.host, settings.port)
    if settings.workers > 1 or settings.engine == "shared":
        Workers(settings, listener).run()
        return
    serve(settings, listener, lambda: log.info("ready on %s", where(listener)))


def main() -> None:
    """Entry point."""
    with exit_clearly():
        app()
