"""Reads the facts from what the stages left, and from a bundle. Nothing is measured here."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from models.contract.config import CodeSpace
from training import stage_files
from training.config import RunConfig
from training.data import dataset
from training.data.dataset import DatasetCard, PreparedDataset
from training.errors import UserError
from training.evaluate.details import Example
from training.report.attention import pairs
from training.report.catalogue_map import catalogue_map
from training.report.facts import (
    Chosen,
    Content,
    Cost,
    Curve,
    Evaluation,
    Facts,
    Fitted,
    Histogram,
    Lengths,
    Reject,
    Shown,
    Story,
)
from training.run.pipeline import DONE
from training.settings import settings, toml, values

STAGES = ("prepare", "encode", "quantize", "fit", "evaluate", "requantize", "refit")
_LEARN = {
    "fit": ("train/loss", "validation/ndcg@10"),
    "quantize": ("quantize/reconstruction", "quantize/codes_used"),
}
_BINS = 30
Read = TypeVar("Read")


def collect(config: RunConfig, bundle: Path, created_at: str) -> Facts:
    """Of the run whose stages have written, and of the tables of a bundle, finished or not.

    Raises UserError, naming the stage, for what is not there or was left by another release.
    """
    output, refit = config.output, config.fit.refit
    data = stage_files.data(config)
    codes = output / ("requantize" if refit else "quantize")
    space = read(codes / stage_files.SPACE, CodeSpace)
    evaluation = read(output / "evaluate" / stage_files.EVALUATION, Evaluation)
    titles = _titles(data)
    costs = {s: read(output / s / DONE, Cost) for s in STAGES if (output / s / DONE).exists()}
    return Facts(
        name=config.name,
        created_at=created_at,
        recommend=config.recommend,
        refit=refit,
        learn_test=config.fit.learn_test,
        card=data.card,
        over_time=_over_time(data),
        lengths=_lengths(np.diff(data.histories.offsets)),
        rejects=tuple(_rejects(data.card, data.directory / dataset.REJECTS)),
        content=read(output / "encode/encode.json", dict[str, Content]),
        curves={stage: curves(output / stage, names) for stage, names in _LEARN.items()},
        fitted=read(output / "fit" / stage_files.FITTED, Fitted),
        evaluation=evaluation,
        stories=tuple(_story(example, titles) for example in evaluation.examples),
        space=space,
        health=read(codes / stage_files.HEALTH, dict[str, float]),
        pairs=pairs(config, space, bundle),
        map=catalogue_map(bundle, space, titles),
        settings=tuple(_settings(config, costs)),
        costs=costs,
    )


def read(path: Path, kind: type[Read]) -> Read:
    """A JSON file of a stage. Raises UserError where it is not there, or is another release's."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
        raise UserError(f"{path} {fault}: `bbqrec-train run` makes it") from error
    except ValidationError as error:
        fields = sorted({".".join(map(str, each["loc"])) for each in error.errors()})
        fault = f"was left by another release ({', '.join(fields)})"
        raise UserError(f"{path} {fault}: `bbqrec-train run` makes it anew") from error


def _titles(data: PreparedDataset) -> list[str]:
    """By item_index; of items without a title, their ids."""
    columns = data.items.select(pl.coalesce("title", "item_id").alias("title"))
    return [str(title) for title in columns["title"]]


def _over_time(data: PreparedDataset) -> Histogram | None:
    """Of all interactions; none where the log has no times."""
    if not data.card.split.timed:
        return None
    log = pl.read_parquet(data.directory / dataset.INTERACTIONS, columns=["timestamp"])
    return _histogram(log["timestamp"].to_numpy(), _BINS)


def _histogram(values_J: NDArray[np.int64], bins: int) -> Histogram:
    counts, edges = np.histogram(values_J, bins)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def _lengths(length_U: NDArray[np.int64]) -> Lengths:
    median, ninth, most_drawn = np.quantile(length_U, [0.5, 0.9, 0.99], method="higher")
    drawn = np.minimum(length_U, most_drawn)
    least, bins = int(length_U.min()), int(min(_BINS, np.ptp(drawn) + 1))
    return Lengths(least, int(median), int(ninth), int(length_U.max()), _histogram(drawn, bins))


def _rejects(card: DatasetCard, path: Path) -> Iterator[Reject]:
    """As they were counted, with the place of the first of each kind."""
    sources = [s for s in (card.interactions_source, card.items_source) if s and s.rejected]
    wanted = {reason for source in sources for reason in source.rejected}
    places: dict[str, str] = {}
    if wanted:
        with path.open(encoding="ascii") as file:
            for line in file:
                entry = json.loads(line)
                places.setdefault(entry["reason"], f"{entry['file']}, line {entry['line']:,}")
                if len(places) == len(wanted):
                    break
    for source in sources:
        for reason, rows in sorted(source.rejected.items(), key=lambda each: -each[1]):
            yield Reject(source.source, reason, rows, places.get(reason))


def curves(directory: Path, names: tuple[str, ...]) -> tuple[Curve, ...]:
    """From all parts of a run that was cut short and went on; none where no CSV was asked for."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    files = directory.glob("curves/version_*/metrics.csv")
    for path in sorted(files, key=lambda file: int(file.parent.name.partition("_")[2])):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for name in names:
                    if row.get(name):
                        found[name][int(row["epoch"]) + 1] = float(row[name])
    return tuple(Curve(name, tuple(sorted(found[name].items()))) for name in names if found[name])


def _story(example: Example, titles: list[str]) -> Story:
    return Story(
        history=tuple(Shown(titles[row]) for row in example.history),
        length=example.length,
        came=titles[example.target],
        best=tuple(Shown(titles[row], row == example.target) for row in example.best),
        rank=example.rank,
    )


def _settings(config: RunConfig, costs: dict[str, Cost]) -> Iterator[Chosen]:
    """As the stages had them, whatever the file says by now; where things lie is left out."""
    recorded = {name: value for cost in costs.values() for name, value in cost.settings.items()}
    known = {setting.name: setting for setting in settings()}
    for name, value in (values(config) | recorded).items():
        if value is None or name in ("output", "encode.cache"):
            continue
        default = known[name].default if name in known else "not set"
        meaning = known[name].meaning if name in known else ""
        yield Chosen(name, toml(value), default, meaning, changed=toml(value) != default)
