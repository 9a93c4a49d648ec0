"""What each stage reads and writes: the run as a table, then one function a stage."""

from collections.abc import Iterable
from pathlib import Path

from models.contract import bundle
from models.contract.semantic_id import Resolution
from models.nets.sequence import SequenceModel
from training.config import RunConfig
from training.data.histories import Part, targets
from training.data.prepare import prepare
from training.encoders.encode import encode_items
from training.evaluate import baselines
from training.evaluate.ranking import Ranker, SequenceRanker, metrics, rank
from training.evaluate.report import EvaluationTable
from training.export import export
from training.run import outputs
from training.run.learn import learn_codes, learn_sequence
from training.run.pipeline import Stage


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
    counts = [f"{m} {int(e.present_N.sum()):,}" for m, e in embeddings.items()]
    return f"vectors of {data.card.items:,} items: {', '.join(counts) or 'no content'}"


def _quantize(config: RunConfig, directory: Path) -> str:
    training = outputs.data(config).histories.up_to(Part.TRAIN)
    return _resolved(learn_codes(config, training, directory))


def _fit(config: RunConfig, directory: Path) -> str:
    histories = outputs.data(config).histories
    validation = targets(histories, Part.VALIDATION)
    fitted = learn_sequence(
        config,
        config.output / "quantize",
        histories.up_to(Part.TRAIN),
        directory,
        config.fit.epochs,
        validation.sample(config.evaluate.validation_users, config.seed),
        config.fit.borrowing,
    )
    best = f"best validation NDCG@10 {fitted.validation_ndcg:.4f} after {fitted.epochs} epochs"
    return f"{best}; rare and new items borrow {fitted.borrowing:g}"


def _requantize(config: RunConfig, directory: Path) -> str:
    if not config.fit.refit:
        return _REFIT_OFF
    return _resolved(learn_codes(config, outputs.data(config).histories, directory))


def _refit(config: RunConfig, directory: Path) -> str:
    if not config.fit.refit:
        return _REFIT_OFF
    fitted = outputs.read_json(config.output / "fit" / outputs.FITTED)
    epochs, shares = fitted["epochs"], (fitted["borrowing"],)
    everything, codes = outputs.data(config).histories, config.output / "requantize"
    learn_sequence(config, codes, everything, directory, epochs, None, shares)
    return f"{epochs} epochs on everything"


_REFIT_OFF = "off: the bundle holds the model that was evaluated"


def _resolved(resolution: Resolution) -> str:
    return (
        f"{len(resolution.table):,} unique semantic IDs; {resolution.collided} items collided, "
        f"{resolution.moved} moved, {resolution.extended} got an extra code"
    )


def _evaluate(config: RunConfig, directory: Path) -> str:
    data = outputs.data(config)
    size, seen = data.card.items, config.evaluate.filter_seen
    known = data.histories.up_to(Part.VALIDATION)
    test, validation = targets(data.histories, Part.TEST), targets(known, Part.VALIDATION)
    training = data.histories.up_to(Part.TRAIN)
    table, _ = outputs.semantic_ids(config.output / "quantize")
    model = SequenceModel.load(
        config.output / "fit" / "weights.safetensors", outputs.architecture(config, table)
    )
    similarity = baselines.item_similarity(training, size)
    decay = baselines.choose_decay(
        lambda decay: baselines.ItemKnn(similarity, decay), validation, size, seen
    )
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
    codes, source = ("requantize", "refit") if config.fit.refit else ("quantize", "fit")
    table, _ = outputs.semantic_ids(config.output / codes)
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
            "health": outputs.read_json(config.output / codes / outputs.HEALTH),
        },
    )
    return (
        f"{directory}: ONNX and torch agree within {parity.worst_score:.1e}, "
        f"same top-10 on {parity.same_top} of {parity.histories} histories"
    )


def _log_files(config: RunConfig) -> Iterable[Path]:
    return [config.interactions.path, *([config.items.path] if config.items else [])]


def _content_files(config: RunConfig) -> Iterable[Path]:
    for modality in config.encode.modalities().values():
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
        distributed=True,
    ),
    Stage(
        "evaluate",
        "rank the catalogue, beside baselines",
        _evaluate,
        needs=("prepare", "fit"),
        sections=("evaluate",),
    ),
    Stage(
        "requantize",
        "semantic IDs from everything, to go live",
        _requantize,
        needs=("prepare", "encode"),
        sections=("quantize", "seed", "fit.refit"),
    ),
    Stage(
        "refit",
        "train again on everything, to go live",
        _refit,
        needs=("prepare", "fit", "requantize"),
        sections=("fit.refit",),
        distributed=True,
    ),
    Stage(
        "export",
        "ONNX, weights and tables to a bundle",
        _export,
        needs=("prepare", "evaluate", "refit"),
        sections=("name",),
    ),
)
