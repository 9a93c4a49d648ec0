"""``python -m benchmarks.accuracy.cold.likenesses``: by what the memory should find items alike.

The memory alone, without any model, where a share of the items is new: what it is told of items
alike comes from their words, from vectors of text and pictures, or from semantic IDs. Weights and
decay of each are chosen on validation, of known items; every figure is of the test part.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
import torch
import typer

from benchmarks.accuracy import work
from benchmarks.accuracy.cold import jobs
from benchmarks.accuracy.cold.results import Resampled, metric_of
from benchmarks.accuracy.cold.store import NEAR
from benchmarks.accuracy.models import OURS, configured
from benchmarks.accuracy.statistics import Interval
from benchmarks.accuracy.store import Job, near
from benchmarks.accuracy.tables import markdown
from models.contract.content_vectors import unit
from models.contract.types import BEHAVIOUR, FloatArray
from models.nets.rows import code_tensor
from models.nets.similarity import SimilarityBuckets
from training import stage_files
from training.config import FitConfig, RunConfig
from training.data.histories import Part
from training.data.new_items import Mixed
from training.encoders.encode import load_content, load_words
from training.evaluate.new_items import ranked
from training.evaluate.ranking import Task
from training.memory.likeness import likeness
from training.memory.lists import best, without_themselves
from training.memory.memory import LIKENESS, MemoryRanker, Sources, choose
from training.memory.transitions import transitions

_AT_ONCE = 1000  # items
_MOST = 1000  # items a list: where all items follow all others, new ones come after the 200 best
_FIGURES = (  # what it is called, which events, and what of them
    ("known", "all-warm", "ndcg@10"),
    ("new among all", "all-cold", "recall@50"),
    ("new among new", "cold-cold", "recall@50"),
)
_HEAD = """# By what the memory finds items alike

Made by `python -m benchmarks.accuracy.cold.likenesses`; not edited by hand. The memory alone, with
no model beside it; a tenth of the items is new, as in [cold.md](cold.md). *content*: vectors of
text and pictures, as the encoders give them. *codes*: what semantic IDs keep of those; *codes,
across*: one vector an item, so that text may be like a picture; *and behaviour*: what binds to use,
too. Likeness, above nothing, and decay are chosen on validation. Test part; 95% intervals by
a bootstrap over users. Cosines of vectors and codes count by how far they are above that of the
thousandth.
"""


def main(
    datasets: Annotated[
        str, typer.Option("--dataset", help="Names of files in configs/, comma-separated.")
    ] = "beauty,toys,ml1m",
) -> None:
    """Measure what has not been measured, then write the page."""
    path = work.DOCS / "likeness.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for dataset in datasets.split(","):
        if all(row["dataset"] != dataset for row in rows):
            found = list(_measure(dataset))
            rows += found
            with path.open("a", encoding="utf-8") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in found)
    _write(rows, work.DOCS / "likeness.md")


def _measure(dataset: str) -> Iterator[dict[str, Any]]:
    """A row a source of likeness."""
    config = configured(work.configuration(dataset), {"evaluate.cold_share": 0.1})
    new, seen = stage_files.new_items(config), config.filter_seen
    size, known = len(new.new_in_N), new.known.up_to(Part.TRAIN)
    validation = new.warm(Part.VALIDATION, filter_seen=seen)
    task = Task.of(validation.sample(config.evaluate.validation_users, config.seed), seen)
    followed_NN, events = transitions(known, size), jobs.events_of(new, seen)
    for name, alike_NN in _alike(dataset, config):
        sources = Sources(followed_NN, alike_NN, _MOST)
        weights = LIKENESS[1:] if alike_NN.sum() else (0.0,)
        recipe = choose(sources, weights, task)
        ranker = MemoryRanker(sources.mix(recipe))
        figures = {
            f"{kind} {metric}": _figure(ranker, events[of], seen, metric)._asdict()
            for kind, of, metric in _FIGURES
        }
        yield {"dataset": dataset, "alike by": name, **recipe._asdict(), **figures}


def _alike(dataset: str, config: RunConfig) -> Iterator[tuple[str, sp.csr_array]]:
    """(N, N) of every source, lists of each item."""
    encoded = config.output / "encode"
    words_NN = likeness(load_words(encoded), _MOST)
    yield "nothing", sp.csr_array(0 * words_NN)
    yield "words", words_NN
    content_ND = load_content(encoded, words_NN.shape[0])
    yield "content", _margins(content_ND)
    quantized_NMQ, behaviour = _quantized(dataset, config)
    content_NMQ = np.delete(quantized_NMQ, behaviour, axis=1)
    codes_NN = _margins(content_NMQ.reshape(len(content_NMQ), -1))
    yield "codes", codes_NN
    yield "codes, across", _margins(content_NMQ.sum(axis=1))
    yield "codes, and behaviour", _margins(quantized_NMQ.sum(axis=1))
    yield "words and codes", sp.csr_array(words_NN + codes_NN)


def _quantized(dataset: str, config: RunConfig) -> tuple[FloatArray, int]:
    """(N, M, Q): what codes stand for, each modality at unit length; and which one is behaviour."""
    whole = {"fit.towers": FitConfig().towers}  # of which some look at codes
    config = configured(config, whole, {"threads": 1, "loggers": ["csv"]})
    table, codewords_MLKQ = jobs.codes(Job(dataset, OURS, config.seed, "strict"), config)
    similarity = SimilarityBuckets(table.space, buckets=4)
    similarity.set_codebook(codewords_MLKQ)
    codes_1NS = code_tensor(table.codes_NS)[None]
    vectors_NMQ = torch.nn.functional.normalize(similarity.quantized(codes_1NS)[0], dim=-1)
    return vectors_NMQ.numpy(), table.space.modalities.index(BEHAVIOUR)


def _margins(vectors_ND: FloatArray, most: int = _MOST) -> sp.csr_array:
    """(N, N): of each row the ``most`` largest cosines, as 0 for the next one to 1 for the same.

    As they are they would all be large, and say of everything that it is alike.
    """
    unit_ND, parts = unit(vectors_ND), []
    for first in range(0, len(unit_ND), _AT_ONCE):
        cosines_PN = torch.from_numpy(unit_ND[first : first + _AT_ONCE] @ unit_ND.T)
        top = cosines_PN.topk(min(most + 2, len(unit_ND)))  # the item itself is among them
        rows = np.repeat(np.arange(len(cosines_PN)), top.indices.shape[1])
        next_P1 = top.values[:, -1:].clamp_min(0)
        margins_PM = (top.values - next_P1).clamp_min(0) / (1 - next_P1).clamp_min(1e-6)
        entries = margins_PM.numpy().ravel(), (rows, top.indices.numpy().ravel())
        part_PN = sp.csr_array(entries, shape=(len(cosines_PN), len(unit_ND)))
        part_PN.eliminate_zeros()
        parts.append(best(without_themselves(part_PN, first), most))
    return sp.csr_array(sp.vstack(parts, format="csr"))


def _figure(ranker: MemoryRanker, events: Mixed, filter_seen: bool, metric: str) -> Interval:
    rank_E = near(ranked(ranker, events, filter_seen).rank_E, NEAR)
    return Resampled(events.held_out.user).mean(metric_of(rank_E, metric))


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    figures = [name for name in rows[0] if isinstance(rows[0][name], dict)]
    header = ["data set", "alike by", "likeness", "decay", *figures]
    lines = [
        [
            *(row["dataset"], row["alike by"], f"{row['likeness']:g}", f"{row['decay']:g}"),
            *("{mean:.4f} [{low:.4f}, {high:.4f}]".format(**row[name]) for name in figures),
        ]
        for row in rows
    ]
    path.write_text(f"{_HEAD}\n{markdown(header, lines)}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
