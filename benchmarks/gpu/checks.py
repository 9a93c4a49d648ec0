"""What a CPU in a GPU's place cannot tell: faults that would be seen there alone, in seconds."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.gpu.engine import drawn, each_engine, histories_of
from benchmarks.gpu.rows import Row, Where
from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.engine.engine import Engine
from service.engine.torch_engine import TorchEngine
from service.retrieval.live import Live, nothing_lives
from service.retrieval.rows import RowSet
from service.retrieval.selection import Allowed, Selection

_K, _QUERIES, _LENGTH = 100, 32, 20
_LEFT = 90  # items, fewer than are asked for


def checks(where: Where) -> Iterator[Row]:
    """How often each was seen."""
    bundle = drawn(where)
    histories = histories_of(bundle, [_LENGTH] * _QUERIES)
    yield _on_the_host(bundle, where)
    expected: Any = None
    for engine in each_engine(bundle, where, _QUERIES):
        found = _few_left(engine, bundle, histories)
        expected = found if expected is None else expected
        wrong = float((np.sort(found) != np.sort(expected)).any(axis=1).mean())
        told = f"{type(engine).__name__}, {_LEFT} items left"
        yield Row("wrong where fewer are left than are asked for", told, wrong, "share", goal=0.0)
    yield _grown(bundle, where, histories)
    yield _recorded_beside(bundle, where, histories)


def _on_the_host(bundle: Bundle, where: Where) -> Row:
    """Nodes of the model's graph that ONNX Runtime has no kernel for on the device; those that
    compute shapes are there by choice.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    provider = f"{where.device.upper()}ExecutionProvider"
    if where.on_gpu:
        onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(bundle.onnx_path, options, providers=[provider])
    parts = session.get_provider_graph_assignment_info()
    nodes = (node for part in parts if part.ep_name != provider for node in part.get_nodes())
    kinds = Counter(node.op_type for node in nodes)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "none"
    return Row("graph nodes off the device", told, float(kinds.total()), "nodes")


def _few_left(engine: Engine, bundle: Bundle, histories: Sequence[list[ItemCodes]]) -> Any:
    """Everything that is left is found, and nothing else: rows (B, K)."""
    size = len(bundle.catalogue)
    hidden = np.arange(_LEFT, size)
    few = Allowed(RowSet(size, rows=np.arange(_LEFT)))
    told = [Selection(hidden) if b % 2 else Selection(allowed=few) for b in range(len(histories))]
    return engine.candidates(histories, [_K] * len(histories), told).found.items_BK


def _grown(bundle: Bundle, where: Where, histories: Sequence[list[ItemCodes]]) -> Row:
    """Tables grow twice, and what was recorded is recorded anew."""
    random, (size, width) = np.random.default_rng(0), bundle.item_vectors_ND.shape
    lives = [nothing_lives(size, width)()]
    engine = TorchEngine(bundle, where.device, lambda: lives[-1])
    wrong = 0
    for more in 0, 20_000, 50_000:
        fresh_MD = 9 * random.standard_normal((more, width), np.float32)
        vectors_MD = np.concatenate([lives[-1].vectors_MD, fresh_MD])
        lives.append(Live(vectors_MD, np.zeros(len(vectors_MD), np.bool_), lives[0].gone_N))
        asked = histories, [1] * len(histories), [Selection()] * len(histories)
        answered = engine.candidates(*asked)
        every_RD = np.concatenate([bundle.item_vectors_ND, vectors_MD])
        best_B = (answered.vectors_BD @ every_RD.T).argmax(axis=1)
        wrong += int((answered.found.items_BK[:, 0] != best_B).sum())
    return Row("wrong after tables grew", "twice", float(wrong), "answers", goal=0.0)


def _recorded_beside(bundle: Bundle, where: Where, histories: Sequence[list[ItemCodes]]) -> Row:
    """One engine is made while another answers, of shapes that it has not seen."""
    device, live = where.device, nothing_lives(*bundle.item_vectors_ND.shape)
    one, failed, done = TorchEngine(bundle, device, live), list[Exception](), threading.Event()

    def answer() -> None:
        turn = 0
        while not done.is_set():
            some = histories[: 1 + turn % len(histories)]
            hidden = Selection(np.arange(1 + 50 * (turn % 9)))
            turn += 1
            try:
                one.candidates(some, [_K] * len(some), [hidden] * len(some))
            except Exception as error:  # counted, whatever it is
                failed.append(error)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        TorchEngine(bundle, device, live).prepare(4 if where.small else _QUERIES)
    except Exception as error:
        failed.append(error)
    done.set()
    thread.join()
    told = repr(failed[0])[:200] if failed else "none"
    return Row("failed while another recorded", told, float(len(failed)), "times", goal=0.0)
