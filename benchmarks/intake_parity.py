"""``python -m benchmarks.intake_parity``: what the service makes of a new item, against training.

Trains on a configuration with a share of its items held out as new, bundles that very model, and
lets the bundle's intake take each of them in from what its file says: codes and vectors must be
those that training gave an item without clicks, and so must what the memory says of it.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import scipy.sparse as sp
import typer
from rich.console import Console

from benchmarks.accuracy.models import configured
from models.contract import bundle
from models.contract.bundle import Bundle
from models.contract.intake import Content
from models.contract.likeness import Alike
from service.catalogue.bundle_intake import BundleIntake
from training import stage_files
from training.config import RunConfig, load
from training.data.histories import Part
from training.encoders.encode import load_embeddings
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

ROOT = Path(__file__).parents[1]
console = Console()


def main(
    path: Annotated[Path, typer.Argument(help="A configuration.")] = ROOT / "configs/demo.toml",
    share: Annotated[float, typer.Option(help="Of the items, new in each part.")] = 0.2,
) -> None:
    """Print how many codes are equal, and how far vectors are apart."""
    config = load(path)
    changes = {
        "output": ROOT / "artifacts/intake-parity" / config.name,
        "evaluate.cold_share": share,
        "fit.refit": False,
    }
    config = configured(config, changes)
    Pipeline(config, STAGES).complete(console.print)
    made = bundle.read(config.output / "current")
    new = np.flatnonzero(stage_files.new_items(config).new_in_N != Part.TRAIN)
    found = compare(made, contents(config, new), new)
    console.print(found)
    kept = ROOT / "docs/benchmarks/intake_parity.json"
    stage_files.write_json(kept, {config.name: found})


def contents(config: RunConfig, rows: np.ndarray) -> list[Content]:
    """What a writer would send of these items: the item file's text and attributes, and vectors.

    The whole text goes under the first column's name: joined with nothing it is the same text.
    """
    data, embeddings = stage_files.data(config), load_embeddings(config.output / "encode")
    columns = data.card.content.columns
    ready = {name: of for name, of in embeddings.items() if name != "text"}
    items = data.items.select("text", "attributes").rows()
    return [
        Content(
            text={columns.text[0]: text} if (text := items[row][0]) else {},
            attributes=json.loads(items[row][1] or "{}"),
            vectors={name: of.vectors_ND[row] for name, of in ready.items() if of.present_N[row]},
        )
        for row in rows.tolist()
    ]


def compare(made: Bundle, said: list[Content], rows: np.ndarray) -> dict[str, float]:
    """Equal codes, and the largest difference of any number of the vectors of those."""
    taken = BundleIntake(made).take(said)
    codes_BS = np.stack([item.codes_S for item in taken])
    equal_B = (codes_BS == made.semantic_ids.codes_NS[rows]).all(axis=1)
    apart = {
        name: np.abs(np.stack(ours)[equal_B] - theirs[rows][equal_B]).max()
        for name, ours, theirs in (
            ("scored", [item.scored_D for item in taken], made.vectors.scored_ND),
            ("read", [item.read_W for item in taken], made.vectors.read_NW),
        )
    }
    return {
        "items": len(rows),
        "codes equal": int(equal_B.sum()),
        "codes differ, as collisions move them": int((~equal_B).sum()),
        **{f"largest difference, {name}": float(value) for name, value in apart.items()},
        **memory_of(made, [item.alike for item in taken], rows),
    }


def memory_of(made: Bundle, alike: list[Alike], rows: np.ndarray) -> dict[str, float]:
    """What is listed in the memory of a new item, against what its intake says of it."""
    if made.memory is None or not made.memory.alike_J.any():
        return {}
    size, memory = len(made.memory), made.memory
    lists_NN = sp.csr_array((memory.scores_J, memory.items_J, memory.offsets), shape=(size, size))
    listed_NB = sp.csc_array(lists_NN[:, rows])
    difference, found = 0.0, 0.0
    for place, (row, told) in enumerate(zip(rows, alike, strict=True)):
        others = told.rows_J != row  # here it is in the bundle itself
        trained_J = listed_NB[told.rows_J[others], [place]].ravel()
        there_J = trained_J > 0
        apart_J = np.abs(trained_J - told.before_J[others])[there_J]
        difference = max(difference, apart_J.max(initial=0))
        found += trained_J.sum()
    return {
        "largest difference, memory": float(difference),
        "share of the memory's scores": float(found / listed_NB.sum()),
    }


if __name__ == "__main__":
    typer.run(main)
