"""What each stage reads and writes: the run as a table."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from training.config import RunConfig
from training.data.dataset import ITEMS
from training.data.item_files import NAMED, ItemFiles
from training.run import encode, evaluate, export, fit, prepare, quantize
from training.run.pipeline import DONE, Stage


def log_files(config: RunConfig) -> list[Path]:
    """What ``prepare`` reads: files, and folders of files, of which one may be missing."""
    stored = config.interactions.stored
    folders = [] if stored is None else [stored]
    return [config.interactions.path, *folders, *([config.items.path] if config.items else [])]


def _content_files(config: RunConfig) -> Iterable[Path]:
    for modality in config.encode.modalities().values():
        yield from (path for path in (modality.vectors, modality.ids) if path)


def _named_files(config: RunConfig) -> Iterable[str]:
    prepared = config.output / "prepare"
    if not config.items or not (prepared / DONE).exists():
        return ()
    items = pl.scan_parquet(prepared / ITEMS).select(NAMED).collect()
    return ItemFiles(config.items).paths(items)


_QUANTIZE = (
    "quantize",
    "research.shared_codebook",
    "research.id_residual",
    "research.diversity",
)
_VARIANTS = (
    "research.block",
    "research.edges",
    "research.reweighting",
    "research.likeness",
)
# A stage is stale when a setting that it reads has changed: all under the names in ``settings``,
# but for those in ``but``. ``loggers``, where curves go, is read by all that learn, and changes
# nothing.
STAGES = (
    Stage(
        "prepare",
        "read, clean, index and split",
        prepare.run,
        settings=("interactions", "events", "items", "filter", "split", "recommend", "seed"),
        files=log_files,
    ),
    Stage(
        "encode",
        "text and pictures to vectors",
        encode.run,
        needs=("prepare",),
        settings=("encode",),
        but=("encode.cache",),
        files=_content_files,
        named=_named_files,
    ),
    Stage(
        "quantize",
        "vectors and histories to semantic IDs",
        quantize.run,
        needs=("prepare", "encode"),
        settings=(*_QUANTIZE, "evaluate.cold_share", "seed", "threads"),
    ),
    Stage(
        "fit",
        "histories to a sequence model",
        fit.run,
        needs=("prepare", "quantize"),
        settings=(
            *("fit", "evaluate.validation_users", "evaluate.cold_share", "recommend"),
            *(*_VARIANTS, "seed", "threads"),
        ),
        but=("fit.refit", "fit.learn_test"),
        distributed=True,
    ),
    Stage(
        "evaluate",
        "rank the catalogue, beside baselines",
        evaluate.run,
        needs=("prepare", "fit"),
        settings=("evaluate.cutoffs", "evaluate.cold_share", "recommend", "seed"),
    ),
    Stage(
        "requantize",
        "semantic IDs from everything, to go live",
        quantize.again,
        needs=("prepare", "encode"),
        settings=(*_QUANTIZE, "seed", "threads", "fit.refit", "fit.learn_test"),
    ),
    Stage(
        "refit",
        "train again on everything, to go live",
        fit.again,
        needs=("prepare", "fit", "requantize"),
        settings=("fit.refit", "fit.learn_test"),
        distributed=True,
    ),
    Stage(
        "export",
        "ONNX, weights and tables to a bundle",
        export.run,
        needs=("prepare", "evaluate", "refit"),
        # Not how many are kept: that changes none.
        settings=("name", "recommend", "export.activate", "export.index_from", "export.samples"),
    ),
)
