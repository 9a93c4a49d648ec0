"""``python -m benchmarks.memory_cost``: what adding the memory costs a request, by catalogue size.

Vectors, lists and histories are drawn. Beside the memory's two parts, the look-up and the merge, an
exact search of the same vectors for scale, all in one run and on one thread.
"""

import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.serving.catalogue import drawn, learned, recall
from models.contract.memory import STEPS, Memory
from models.contract.types import FloatArray
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.live import nothing_lives
from service.retrieval.matrix import MatrixRetriever
from service.retrieval.overlay import Overlay
from service.retrieval.rows import Rows
from service.retrieval.selection import Selection
from training.export.index import learn_index

_WIDTH, _K, _BATCH = 192, 10, 32
_ASKED, _DEEP = 200, 100


def main(
    sizes: Annotated[str, typer.Option(help="Items, comma-separated.")] = "12000,100000,1000000",
    listed: Annotated[int, typer.Option(help="Followers of an item.")] = 200,
    compressed: Annotated[
        int, typer.Option(help="Items of a compressed index, whose recall is told; 0: none.")
    ] = 0,
) -> None:
    """Print one row a size, in milliseconds of a request; of an index, what it finds."""
    table = Table("items", "exact search", "look-up", "with the memory", "times", title="ms")
    for size in map(int, sizes.split(",")):
        table.add_row(f"{size:,}", *measure(size, listed))
    Console().print(table)
    if compressed:
        of_sum, alone = found(compressed, listed)
        print(f"{compressed:,} items, compressed: recall@{_DEEP} of the sum {of_sum:.4f}, "
              f"of the model's scores alone {alone:.4f}")  # fmt: skip


def measure(size: int, listed: int) -> list[str]:
    """One size."""
    random = np.random.default_rng(0)
    vectors_ND = random.standard_normal((size, _WIDTH), np.float32)
    overlay = Overlay(MatrixRetriever(vectors_ND, 1), vectors_ND, 1, nothing_lives(size, _WIDTH))
    memory = drawn_memory(size, listed, random)
    queries_BD = random.standard_normal((_BATCH, _WIDTH), np.float32)
    histories = random.integers(0, size, (_BATCH, STEPS)).tolist()
    plain = [Selection(np.unique(history)) for history in histories]
    k = [_K] * _BATCH

    def recalled() -> list[Selection]:
        pairs = zip(plain, memory.recall_each(histories), strict=True)
        return [selection._replace(recalled=each) for selection, each in pairs]

    search = per_request(lambda: overlay.search(queries_BD, k, plain))
    look_up = per_request(recalled)
    with_it = per_request(lambda: overlay.search(queries_BD, k, recalled()))
    return [f"{search:.3f}", f"{look_up:.3f}", f"{with_it:.3f}", f"{with_it / search:.2f}"]


def found(size: int, listed: int) -> tuple[float, float]:
    """Of the best by model and memory together, what a compressed index finds; and by the model
    alone. Vectors are like the demo's; what the memory adds is as large as the best of the model
    lie apart.
    """
    seed, random = learned(), np.random.default_rng(0)
    vectors_ND = drawn(seed, size)
    users_BD = np.ascontiguousarray(seed.users_UD[:_ASKED])
    index = learn_index(vectors_ND)
    base = CompressedRetriever(vectors_ND, index.faiss, index.rotation_DD, 1)
    overlay = Overlay(base, vectors_ND, 1, nothing_lives(*vectors_ND.shape))
    scores_BN = users_BD @ vectors_ND.T
    truth_BK = _best(scores_BN)
    best_BK = np.take_along_axis(scores_BN, truth_BK, 1)
    apart = float((best_BK.max(axis=1) - best_BK.min(axis=1)).mean())
    memory = drawn_memory(size, listed, random, apart)
    histories = random.integers(0, size, (_ASKED, STEPS)).tolist()
    nothing, each = [Selection() for _ in histories], memory.recall_each(histories)
    told = [Selection(recalled=recalled) for recalled in each]
    k = [_DEEP] * _ASKED
    alone = recall(overlay.search(users_BD, k, nothing).items_BK, truth_BK)
    for row_N, recalled in zip(scores_BN, each, strict=True):
        row_N[recalled.rows_J] += recalled.scores_J
    return recall(overlay.search(users_BD, k, told).items_BK, _best(scores_BN)), alone


def _best(scores_BN: FloatArray) -> Rows:
    return np.argpartition(-scores_BN, _DEEP, axis=1)[:, :_DEEP]


def drawn_memory(
    size: int, listed: int, random: np.random.Generator, largest: float = 1.0
) -> Memory:
    """Lists of random items, as hard to gather as can be."""
    items_J = random.integers(0, size, size * listed, dtype=np.int32)
    scores_J = random.random(len(items_J), dtype=np.float32) * np.float32(largest)
    alike_J = np.zeros(len(items_J), np.uint8)
    return Memory(np.arange(size + 1) * listed, items_J, scores_J, alike_J, decay=0.6, weight=1.0)


def per_request(call: Callable[[], object]) -> float:
    """The best of several batches, in milliseconds of each of its requests."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * min(times) / _BATCH


if __name__ == "__main__":
    typer.run(main)
