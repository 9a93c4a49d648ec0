"""Text, posters and a vector of one's own on MovieLens-100k: codes, their health, and answers.

``python -m benchmarks.three_modalities`` trains a little (it shows that a modality is data, and is
no measure of accuracy) and prints the health of each modality. The vector is each film's genres,
as 0 or 1, projected at random; films of no known genre have none.
"""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from models.contract import bundle
from training.config import RunConfig, load
from training.data.formats import GENRES
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

ROOT = Path(__file__).parents[1]
_SIZE = 12  # of the projected genres
console = Console()


def main() -> int:
    """Run all stages; 0 also where the data is not here, which is said."""
    config = load(ROOT / "configs/ml100k-temporal.toml")
    films = config.interactions.path.with_name("u.item")
    if not films.exists():
        console.print(f"skipped: {films} is not here, real data is never committed")
        return 0
    output = ROOT / "artifacts/three-modalities"
    output.mkdir(parents=True, exist_ok=True)
    config = _with_genres(config, films, output)
    Pipeline(config, STAGES).complete(console.print)
    _print(bundle.read(output / "current"))
    return 0


def _with_genres(config: RunConfig, films: Path, output: Path) -> RunConfig:
    """The configuration with ``[encode.genres]``, and few epochs; vectors go to ``output``."""
    lines = films.read_text(encoding="latin-1").splitlines()
    rows = [line.split("|") for line in lines]
    known = len(GENRES) - 1  # the first flag is "unknown"
    flags_NG = np.array([row[-known:] for row in rows], np.float32)
    some_N = flags_NG.sum(axis=1) > 0
    draw_GX = np.random.default_rng(0).standard_normal((known, _SIZE))
    np.save(output / "genres.npy", (flags_NG @ draw_GX)[some_N].astype(np.float32))
    ids = [row[0] for row, some in zip(rows, some_N.tolist(), strict=True) if some]
    (output / "genres.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    fields = config.model_dump()
    own = {"vectors": output / "genres.npy", "ids": output / "genres.txt"}
    fields |= {
        "name": "three-modalities",
        "output": output,
        "encode": fields["encode"] | {"genres": own},
    }
    fields["quantize"] |= {"epochs": 10}
    fields["fit"] |= {"epochs": 3}
    return RunConfig.model_validate(fields)


def _print(made: bundle.Bundle) -> None:
    space, health = made.manifest.architecture.code_space, made.manifest.health
    figures = [
        *(
            f"level_{level + 1}/{figure}"
            for level in range(space.levels)
            for figure in ("used", "perplexity")
        ),
        *("unexplained_variance", "club_bound", "behaviour_agreement@10"),
    ]
    table = Table("", *space.modalities)
    present_M = made.semantic_ids.present_NM.sum(axis=0)
    table.add_row("items that have it", *(f"{count:,}" for count in present_M))
    for figure in figures:
        found = (health.get(f"{modality}/{figure}") for modality in space.modalities)
        table.add_row(figure, *("" if value is None else f"{value:.3f}" for value in found))
    console.print(table)
    console.print(
        {name: round(made.manifest.metrics[name], 4) for name in ("ndcg@10", "recall@10")}
    )


if __name__ == "__main__":
    sys.exit(main())
