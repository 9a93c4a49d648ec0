"""The results as pictures. Colours: ours orange, backbones blue, the rest grey."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from safetensors.numpy import load_file

from benchmarks.accuracy.models import ABLATIONS, BACKBONES, OURS, PEERS
from benchmarks.accuracy.results import HEADLINE, Results
from models.nets.similarity import modality_pairs
from training import stage_files

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OF_CODES = ("bucket-bias", "code-usage", "item-map")
KINDS = ("accuracy", "ablations", "curves", *OF_CODES)  # what files' names start with
_OURS, _BACKBONE, _OTHER = "#e07b00", "#2b6cb0", "#9aa5b1"


def accuracy(results: list[Results], path: Path) -> None:
    """NDCG@10 with its interval, a panel a data set and protocol."""
    figure, axes = _panels(len(results), columns=2, height=2.6)
    for axis, result in zip(axes, results, strict=False):
        names = [name for name in result.models if name not in ABLATIONS][::-1]
        intervals = [result.bootstrap.mean(result.models[n].values[HEADLINE]) for n in names]
        mean = np.array([interval.mean for interval in intervals])
        low, high = (np.array([getattr(i, side) for i in intervals]) for side in ("low", "high"))
        axis.barh(names, mean, xerr=[mean - low, high - mean], color=[_colour(n) for n in names])
        axis.set_title(f"{result.dataset}, {result.protocol}")
        axis.set_xlabel("NDCG@10, 95% interval")
    _save(figure, path)


def ablations(results: Results, path: Path) -> None:
    """Relative change of NDCG@10 when a part is taken away or exchanged."""
    changes = dict(reversed(results.ablations.items()))
    if not changes:
        return
    names, gains = list(changes), [change.test for change in changes.values()]
    figure, (axis,) = _panels(1, columns=1, height=0.32 * len(names) + 1)
    mean = np.array([gain.mean for gain in gains])
    low, high = (np.array([getattr(g, side) for g in gains]) for side in ("low", "high"))
    error = [100 * (mean - low), 100 * (high - mean)]
    labels = [name.removeprefix(f"{OURS}-") for name in names]
    axis.barh(labels, 100 * mean, xerr=error)
    for row, change in enumerate(changes.values()):
        axis.plot(100 * change.each_S, np.full(len(change.each_S), row), ".", color=_OURS)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("change of NDCG@10, %\ninterval over users, a dot a seed")
    axis.set_title(f"ablations, {results.dataset}, {results.protocol}")
    _save(figure, path)


def bucket_bias(weights_file: Path, codes: Path, path: Path) -> None:
    """The learned attention bias of every similarity bucket, a panel a modality pair."""
    weights, space = load_file(weights_file), stage_files.semantic_ids(codes)[0].space
    biases = {name: weights[name] for name in sorted(weights) if name.endswith("bucket_bias")}
    if not biases:
        return
    pairs = modality_pairs(space)
    figure, axes = _panels(len(pairs), columns=2, height=2.4)
    for p, (axis, pair) in enumerate(zip(axes, pairs, strict=False)):
        for name, bias_PKH in biases.items():
            tower, block = (int(part) + 1 for part in name.split(".") if part.isdigit())
            for head in range(bias_PKH.shape[2]):
                label = f"tower {tower}, block {block}, head {head + 1}"
                axis.plot(bias_PKH[p, 1:, head], label=label)
        axis.axhline(0, color="black", linewidth=0.8)
        first, second = space.modalities[pair.first], space.modalities[pair.second]
        axis.set_title(first if first == second else f"{first} x {second}")
        axis.set_xlabel("bucket, least similar first")
    axes[0].set_ylabel("bias")
    _legend(figure, axes[0], columns=4)
    _save(figure, path)


def code_usage(health: dict[str, float], path: Path) -> None:
    """Share of codes used and perplexity, by level and modality."""
    of_all = [name for name in health if name.startswith("level_") and name.endswith("/used")]
    modalities = [name.removesuffix("/level_1/used") for name in health if "/level_1/used" in name]
    figure, axes = _panels(2, columns=2, height=2.4)
    place = np.arange(len(of_all))
    series = {"all": "", **{modality: f"{modality}/" for modality in modalities}}
    for axis, figure_name in zip(axes, ("used", "perplexity"), strict=False):
        for n, (label, prefix) in enumerate(series.items()):
            values = [health[f"{prefix}level_{level + 1}/{figure_name}"] for level in place]
            axis.bar(place + 0.8 * n / len(series), values, 0.8 / len(series), label=label)
        axis.set_title({"used": "share of codes used"}.get(figure_name, figure_name))
        axis.set_xticks(place + 0.3, [f"level {level + 1}" for level in place])
    _legend(figure, axes[0], columns=len(series))
    _save(figure, path)


def item_map(codes: Path, path: Path) -> None:
    """Items in two principal directions of their code vectors, coloured by first code."""
    table, codewords_MLKQ = stage_files.semantic_ids(codes)
    modalities = table.space.modalities
    figure, axes = _panels(len(modalities), columns=3, height=3)
    for m, (axis, modality) in enumerate(zip(axes, modalities, strict=False)):
        codes_JL = table.codes_NML[table.present_NM[:, m], m].astype(np.int64)
        words_LKQ = codewords_MLKQ[m % len(codewords_MLKQ)].numpy()
        vectors_JQ = sum(words_LKQ[level, codes_JL[:, level]] for level in range(len(words_LKQ)))
        centred_JQ = vectors_JQ - np.mean(vectors_JQ, axis=0)
        _, _, directions = np.linalg.svd(centred_JQ, full_matrices=False)
        x, y = directions[:2] @ centred_JQ.T
        axis.scatter(x, y, c=codes_JL[:, 0] * 7 % 20, cmap="tab20", s=2, linewidths=0)
        axis.set_title(f"{modality}: {len(codes_JL):,} items")
        axis.set_xticks([])
        axis.set_yticks([])
    _save(figure, path)


def curves(results: Results, path: Path) -> None:
    """Validation NDCG@10 by epoch, a line a seed; earlier results did not keep it."""
    found = {m: results.models[m].curves for m in (OURS, *BACKBONES) if m in results.models}
    if not found.get(OURS):
        return
    figure, (axis,) = _panels(1, columns=1, height=3)
    for model, of_seeds in found.items():
        for n, values in enumerate(of_seeds):
            label, epochs = model if n == 0 else None, range(1, len(values) + 1)
            axis.plot(epochs, values, color=_colour(model), linestyle=_dash(model), label=label)
    axis.set_xlabel("epoch")
    axis.set_ylabel("validation NDCG@10")
    axis.set_title(f"training curves, {results.dataset}, strict")
    axis.legend()
    _save(figure, path)


def _panels(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.2 * columns + 1, height * rows + 0.6), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.axis("off")
    return figure, flat


def _legend(figure: Figure, axis: Axes, columns: int) -> None:
    """Beneath all panels, whose lines it would hide; axis: whose names hold for all of them."""
    lines, names = axis.get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=columns, fontsize=9)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _colour(model: str) -> str:
    if model == OURS:
        return _OURS
    return _BACKBONE if model in (*BACKBONES, *PEERS) else _OTHER


def _dash(model: str) -> str:
    return "--" if model == "sasrec-ss" else "-"
