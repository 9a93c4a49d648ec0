"""Stage export: a bundle under ``bundles/``, which is current from then on."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from models.contract.bundle import FILES, CatalogueItem
from models.contract.config import SequenceConfig
from models.contract.item_vectors import read_columns
from models.contract.manifest import Recency, read_manifest
from models.contract.store import BundleStore
from models.contract.types import FloatArray
from models.nets.quantizer import Quantizer
from models.nets.sequence import SequenceModel
from training import stage_files
from training.config import RunConfig
from training.data.dataset import PreparedDataset
from training.data.folder import find_files
from training.data.histories import Part, targets
from training.encoders.encode import (
    load_content,
    load_embeddings,
    load_encoders,
    load_vocabulary,
    load_words,
)
from training.evaluate.report import OURS
from training.export.export import export_bundle
from training.export.intake import IntakeParts, write_intake
from training.export.popularity import Uses, recency, recent
from training.export.samples import draw_samples
from training.fit.learn import load_model
from training.memory.memory import Recipe
from training.progress import say
from training.report import render


def run(config: RunConfig, directory: Path, *, report: bool = True) -> str:
    """Write it, activate it unless told not to, and drop those that are too many."""
    data = stage_files.data(config)
    codes, source = ("requantize", "refit") if config.fit.refit else ("quantize", "fit")
    table, _ = stage_files.semantic_ids(config.output / codes)
    model = load_model(config, config.output / source / stage_files.WEIGHTS, table)
    fading = recency(_uses(data), data.card.items)
    fields = _fields(config, data, fading, config.output / codes)
    store, held_out = BundleStore(config.output), targets(data.histories, Part.TEST)
    memory = stage_files.memory(config.output / source)
    intake = _intake(config, data, model, config.output / codes, config.output / source)
    items = catalogue(data, fading)
    with store.new() as partial:
        write_intake(partial, intake)
        if most := config.export.samples:
            ids = [item.item_id for item in items]
            drawn = draw_samples(held_out, ids, most, data.card.split.seed)
            (partial / FILES.SAMPLES).write_text(drawn.model_dump_json(), encoding="utf-8")
        parity = export_bundle(
            partial,
            model,
            table,
            items,
            held_out,
            fields,
            config.export.index_from,
            memory,
            more=lambda created_at: write_report(config, partial, created_at) if report else None,
        )
        digest = read_manifest(partial)[1]
    if config.export.activate:
        store.activate(digest)
    store.prune(config.export.keep)
    stage_files.write_json(directory / stage_files.EXPORTED, {"digest": digest})
    state = "is current" if config.export.activate else "may be activated"
    return (
        f"{digest[:12]} {state} in {config.output}: ONNX and torch agree within "
        f"{parity.worst_score:.1e}, same top-10 on {parity.same_top} of {parity.histories}"
    )


def _fields(
    config: RunConfig, data: PreparedDataset, fading: Recency | None, codes: Path
) -> dict[str, Any]:
    """What the manifest says of the run; ``codes``: the folder of the stage that learned them."""
    evaluation = stage_files.read_json(config.output / "evaluate" / stage_files.EVALUATION)
    return {
        "name": config.name,
        "recommend": config.recommend,
        "items_as_of": _items_as_of(config),
        "recency": fading,
        "split": _split(config, data),
        "metrics": _metrics(evaluation),
        "health": stage_files.read_json(codes / stage_files.HEALTH),
    }


def write_report(config: RunConfig, partial: Path, created_at: str) -> None:
    """The report of the run into its bundle, which goes live without one, too, and says why."""
    try:
        render.write(config, partial, created_at, partial / FILES.REPORT)
    except Exception as error:  # whatever it is, it must not cost what was trained
        say(f"no report: {error!r}")


def _split(config: RunConfig, data: PreparedDataset) -> dict[str, Any]:
    """How interactions were split, and until when they have been learned."""
    split, fit = data.card.split, config.fit
    if split.timed:
        learned_J = data.histories.parts <= stage_files.last_learned(config)
        split = split.model_copy(update={"until": int(data.times()[learned_J].max())})
    return split.model_dump(mode="json") | {"refit": fit.refit, "learn_test": fit.learn_test}


def _items_as_of(config: RunConfig) -> str | None:
    """When the newest of the item files was written."""
    if not config.items:
        return None
    files, _ = find_files(config.items.path, config.items.format, "items")
    newest = dt.datetime.fromtimestamp(max(file.stat().st_mtime for file in files), dt.UTC)
    return newest.isoformat(timespec="seconds")


def _metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Those of the model, of new items too where it was evaluated on any."""
    metrics: dict[str, float] = evaluation["models"][OURS]
    if new := evaluation["new_items"]:
        metrics = metrics | new["models"][OURS] | {"new taken": new["taken"]}
    return metrics


def _intake(
    config: RunConfig, data: PreparedDataset, model: SequenceModel, codes: Path, fit: Path
) -> IntakeParts:
    """What new items are taken in with, as these codes and this model were learned."""
    encoded, fitted = config.output / "encode", stage_files.read_json(fit / stage_files.FITTED)
    space = model.config.code_space
    times_D, plus_D = model.calibration(**fitted["calibration"])
    recipe, scale = Recipe(**fitted["memory"]), fitted["calibration"]["scale"]
    words, worth = load_words(encoded), recipe.weight * recipe.likeness
    return IntakeParts(
        columns=data.card.content.columns,
        embeddings=load_embeddings(encoded),
        encoders=load_encoders(encoded),
        quantizer=Quantizer.load(codes / stage_files.QUANTIZER, space),
        vocabulary=load_vocabulary(encoded),
        words=_words(model.config, fit),
        item_words=words,
        likeness=(worth, scale) if worth and words.vocabulary_size else None,
        content_ND=load_content(encoded, data.card.items),
        histories=stage_files.learned(config),
        borrowing=fitted["borrowing"] if any(config.fit.borrowing) else None,
        calibration=(times_D.numpy(), plus_D.numpy()),
    )


def _words(config: SequenceConfig, fit: Path) -> dict[str, FloatArray]:
    """What words add; of what is read those columns alone where that is not what is scored."""
    found = load_file(fit / stage_files.WORD_VECTORS)
    columns = read_columns(config)
    read = [found["read_VD"][:, part] for part in columns] or [found["read_VD"][:, :0]]
    return {"scored": found["scored_VD"], "read": np.concatenate(read, axis=1)}


def catalogue(data: PreparedDataset, fading: Recency | None) -> tuple[CatalogueItem, ...]:
    """Items as the bundle lists them; popularity counts every interaction."""
    size, uses = data.card.items, _uses(data)
    popularity_N = np.bincount(uses.items_J, minlength=size)
    recent_N = popularity_N if fading is None else recent(uses, size, fading)
    counts = (column.tolist() for column in (popularity_N, recent_N, _first_used(uses, size)))
    rows = data.items.select("item_id", "title", "attributes", "picture").iter_rows(named=True)
    return tuple(
        CatalogueItem(**row, popularity=count, recent=of_late, first_used=first)
        for row, count, of_late, first in zip(rows, *counts, strict=True)
    )


def _uses(data: PreparedDataset) -> Uses:
    return Uses(data.histories.items, data.times())


def _first_used(uses: Uses, size: int) -> NDArray[np.int64]:
    """0 where it never was."""
    never = np.iinfo(np.int64).max
    first_N = np.full(size, never)
    np.minimum.at(first_N, uses.items_J, uses.times_J)
    return np.where(first_N == never, 0, first_N)
