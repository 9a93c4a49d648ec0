"""ONNX Runtime as the service uses it."""

import threading
import time

import numpy as np

from service.retrieval.matrix import open_search


def test_others_have_their_turn_while_a_session_is_made() -> None:
    """Or no request is answered while a bundle is loaded beside what serves."""
    vectors_ND = np.random.default_rng(0).standard_normal((100_000, 128), dtype=np.float32)
    waits, done = [], threading.Event()

    def turn() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            waits.append(time.perf_counter() - began)

    other = threading.Thread(target=turn)
    other.start()
    began = time.perf_counter()
    open_search(vectors_ND, "cpu", threads=1)
    took = time.perf_counter() - began
    done.set()
    other.join()
    assert max(waits) < took / 2, f"a wait of {max(waits):.3f} s while {took:.3f} s passed"
