"""What each stage reads and writes: the run as a table, then one function a stage."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from models import bundle
from models.quantizer import Quantizer
from models.sequence import SequenceModel
from models.types import Modality
from training import baselines, export, outputs
from training.behaviour import behaviour_embeddings
from training.config import RunConfig
from training.data.histories import Histories, Part, targets
from training.data.prepare import prepare
from training.encoders.encode import encode_items, load_embeddings
from training.evaluate import Ranker, SequenceRanker, metrics, rank
from training.fit_quantizer import View, build_table, code_space, fit_quantizer
from training.fit_sequence import Fitted, fit_sequence, new_model
from training.health import code_health
from training.progress import trainer_options
from training.report import EvaluationTable
from training.stages import Stage


def _prepare(config: RunConfig, directory: Path) -> str:
    card = prepare(config, directory)
    kept = f"{card.users:,} users, {card.items:,} items, {card.interactions:,} interactions"
    removed = {reason: n for reason, n in card.removed.model_dump().items() if n}
    for source in filter(None, (card.interactions_source, card.items_source)):
        removed |= {f"{source.source} {reason}": n for reason, n in source.rejected.items()}
    left_out = ", ".join(f"{n:,} by {reason}" for reason, n in removed.items())
    return f"{kept}; left out: {left_out or 'nothing'}"


def _encode(config: RunConfig, directory: Path) -> str:
    data = outputs.data(config)
    cache = config.encode.cache or config.output.parent / "cache"
    embeddings = encode_items(data.items, config.encode, directory, cache)
    counts = [f"{m.value} {int(e.present_N.sum()):,}" for m, e in embeddings.items()]
    return f"vectors of {data.card.items:,} items: {', '.join(counts) or 'no content'}"


def _quantize(config: RunConfig, directory: Path) -> str:
    data = outputs.data(config)
    training = data.histories.up_to(Part.TRAIN)
    views = {
        modality: View.standardise(embedding.vectors_ND, embedding.present_N)
        for modality, embedding in load_embeddings(config.output / "encode").items()
    }
    behaviour = behaviour_embeddings(
        training, data.card.items, config.quantize.behaviour_size, config.seed
    )
    views[Modality.BEHAVIOUR] = View.standardise(*behaviour)
    space = code_space(views, config.quantize)
    _seed(config)
    sizes = {modality: view.vectors_NX.shape[1] for modality, view in views.items()}
    quantizer = Quantizer(space, sizes, data.card.items, config.quantize.hidden_size)
    options = trainer_options(directory)
    module = fit_quantizer(quantizer, views, training, config.quantize, config.seed, **options)
    resolution = build_table(quantizer.eval(), views)
    health = code_health(module, resolution)
    save_torch(quantizer.state_dict(), directory / "quantizer.safetensors")
    save_file(resolution.table.arrays(), directory / bundle.FILES.SEMANTIC_IDS)
    outputs.write_json(directory / outputs.SPACE, space.model_dump(mode="json"))
    outputs.write_json(directory / "health.json", health)
    return (
        f"{len(resolution.table):,} unique semantic IDs; {resolution.collided} items collided, "
        f"{resolution.moved} moved, {resolution.extended} got an extra code"
    )


def _fit(config: RunConfig, directory: Path) -> str:
    data = outputs.data(config)
    validation = targets(data.histories, Part.VALIDATION)
    most = config.evaluate.validation_users
    fitted = _train(
        config,
        directory,
        data.histories.up_to(Part.TRAIN),
        epochs=config.fit.epochs,
        validation=validation.sample(most, config.seed),
    )
    return f"best validation NDCG@10 {fitted.validation_ndcg:.4f} after {fitted.epochs} epochs"


def _refit(config: RunConfig, directory: Path) -> str:
    if not config.fit.refit:
        return "off: the bundle holds the model that was evaluated"
    epochs = outputs.read_json(config.output / "fit" / outputs.FITTED)["epochs"]
    _train(config, directory, outputs.data(config).histories, epochs, validation=None)
    return f"{epochs} epochs on everything"


def _train(
    config: RunConfig, directory: Path, histories: Histories, epochs: int, validation: Any
) -> Fitted:
    table, codebook_LKQ = outputs.semantic_ids(config)
    _seed(config)
    model = new_model(outputs.architecture(config, table), table, codebook_LKQ, histories)
    fitted = fit_sequence(
        model,
        table,
        histories,
        validation,
        config.fit,
        epochs,
        config.seed,
        directory,
        config.evaluate.filter_seen,
        **trainer_options(directory),
    )
    save_torch(outputs.contiguous(fitted.model), directory / bundle.FILES.WEIGHTS)
    outputs.write_json(
        directory / outputs.FITTED,
        {"epochs": fitted.epochs, "validation_ndcg@10": fitted.validation_ndcg},
    )
    return fitted


def _evaluate(config: RunConfig, directory: Path) -> str:
    data = outputs.data(config)
    size, seen = data.card.items, config.evaluate.filter_seen
    known = data.histories.up_to(Part.VALIDATION)
    test, validation = targets(data.histories, Part.TEST), targets(known, Part.VALIDATION)
    training = data.histories.up_to(Part.TRAIN)
    table, _ = outputs.semantic_ids(config)
    model = SequenceModel.load(
        config.output / "fit" / "weights.safetensors", outputs.architecture(config, table)
    )
    similarity = baselines.item_similarity(training, size)
    decay = baselines.choose_decay(similarity, validation, seen)
    rankers: dict[str, Ranker] = {
        "popularity": baselines.Popularity(training, size),
        "item-knn": baselines.ItemKnn(similarity),
        "item-knn-decayed": baselines.ItemKnn(similarity, decay),
        "bbqrec": SequenceRanker(model, table.codes_NS),
    }
    cutoffs = config.evaluate.cutoffs
    results = {
        name: metrics(rank(ranker, test, size, seen, max(cutoffs)), size, cutoffs)
        for name, ranker in rankers.items()
    }
    report = EvaluationTable(results, users=len(test.target), protocol="strict", knn_decay=decay)
    outputs.write_json(directory / outputs.EVALUATION, report.as_json())
    report.print()
    return report.verdict()


def _export(config: RunConfig, directory: Path) -> str:
    data = outputs.data(config)
    table, _ = outputs.semantic_ids(config)
    source = "refit" if config.fit.refit else "fit"
    weights = config.output / source / bundle.FILES.WEIGHTS
    model = SequenceModel.load(weights, outputs.architecture(config, table))
    evaluation = outputs.read_json(config.output / "evaluate" / outputs.EVALUATION)
    parity = export.export_bundle(
        directory,
        model,
        table,
        outputs.catalogue(data),
        targets(data.histories, Part.TEST),
        {
            "name": config.name,
            "split": {**data.card.split.model_dump(mode="json"), "refit": config.fit.refit},
            "metrics": evaluation["models"]["bbqrec"],
            "health": outputs.read_json(config.output / "quantize" / "health.json"),
        },
    )
    return (
        f"{directory}: ONNX and torch agree within {parity.worst_score:.1e}, "
        f"same top-10 on {parity.same_top} of {parity.histories} histories"
    )


def _seed(config: RunConfig) -> None:
    L.seed_everything(config.seed, verbose=False)
    if config.threads:
        torch.set_num_threads(config.threads)


def _log_files(config: RunConfig) -> Iterable[Path]:
    return [config.interactions.path, *([config.items.path] if config.items else [])]


def _content_files(config: RunConfig) -> Iterable[Path]:
    for modality in (config.encode.text, config.encode.image):
        yield from (path for path in (modality.vectors, modality.ids) if path)
    if config.items and config.items.image_template:
        yield (config.items.path.parent / config.items.image_template).parent


STAGES = (
    Stage(
        "prepare",
        "read, clean, index and split",
        _prepare,
        sections=("interactions", "items", "filter", "split", "seed"),
        files=_log_files,
    ),
    Stage(
        "encode",
        "text and pictures to vectors",
        _encode,
        needs=("prepare",),
        sections=("encode",),
        files=_content_files,
    ),
    Stage(
        "quantize",
        "vectors and histories to semantic IDs",
        _quantize,
        needs=("prepare", "encode"),
        sections=("quantize", "seed"),
    ),
    Stage(
        "fit",
        "histories to a sequence model",
        _fit,
        needs=("prepare", "quantize"),
        sections=("fit", "evaluate", "seed", "threads"),
    ),
    Stage(
        "evaluate",
        "rank the catalogue, beside baselines",
        _evaluate,
        needs=("prepare", "fit"),
        sections=("evaluate",),
    ),
    Stage(
        "refit",
        "train again on everything, to go live",
        _refit,
        needs=("prepare", "fit"),
        sections=("fit.refit",),
    ),
    Stage(
        "export",
        "ONNX, weights and tables to a bundle",
        _export,
        needs=("prepare", "evaluate", "refit"),
        sections=("name",),
    ),
)
