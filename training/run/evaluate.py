"""Stage evaluate: the trained model beside baselines, on the test part."""

from pathlib import Path

from training import stage_files
from training.config import RunConfig
from training.data.histories import Histories, Part, targets
from training.evaluate import baselines
from training.evaluate.ranking import Ranker, SequenceRanker, metrics, rank
from training.evaluate.report import CUTOFF, EvaluationTable
from training.fit.learn import load_model


def run(config: RunConfig, directory: Path) -> str:
    """Rank the full catalogue for every user; write and print the table, return the verdict."""
    data = stage_files.data(config)
    size, seen = data.card.items, config.filter_seen
    rankers, decay = _baselines(data.histories, size, seen)
    rankers["bbqrec"] = _ours(config)
    test = targets(data.histories, Part.TEST, repeats=not seen)
    left_out = data.card.split.evaluated_users["test"] - len(test.target)
    cutoffs = tuple(sorted({*config.evaluate.cutoffs, CUTOFF}))
    results = {
        name: metrics(rank(ranker, test, size, seen, max(cutoffs)), size, cutoffs)
        for name, ranker in rankers.items()
    }
    report = EvaluationTable(
        results, users=len(test.target), left_out=left_out, protocol="strict", knn_decay=decay
    )
    stage_files.write_json(directory / stage_files.EVALUATION, report.as_json())
    report.print()
    return report.verdict()


def _baselines(histories: Histories, size: int, seen: bool) -> tuple[dict[str, Ranker], float]:
    """What the training part tells by counting, and the decay that validation chooses."""
    training = histories.up_to(Part.TRAIN)
    validation = targets(histories, Part.VALIDATION, repeats=not seen)
    similarity = baselines.item_similarity(training, size, repeats=not seen)
    decay = baselines.choose_decay(
        lambda decay: baselines.ItemKnn(similarity, decay), validation, size, seen
    )
    rankers: dict[str, Ranker] = {
        "popularity": baselines.Popularity(training, size),
        "item-knn": baselines.ItemKnn(similarity),
        "item-knn-decayed": baselines.ItemKnn(similarity, decay),
    }
    return rankers, decay


def _ours(config: RunConfig) -> Ranker:
    table, _ = stage_files.semantic_ids(config.output / "quantize")
    model = load_model(config, config.output / "fit" / stage_files.WEIGHTS, table)
    return SequenceRanker(model, table.codes_NS)
