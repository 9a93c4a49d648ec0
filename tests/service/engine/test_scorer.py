import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from models.contract.bundle import FILES, Bundle
from models.contract.types import ItemCodes
from service.engine.choose import make_engine
from service.engine.feeds import feeds
from service.engine.scorer import OnnxScorer, TorchScorer, make_scorer
from service.runtime import ProviderError
from service.settings import Provider, Settings
from tests.tiny_bundle import ITEMS, MAX_HISTORY


def histories(bundle: Bundle, count: int = 30) -> list[list[ItemCodes]]:
    random = np.random.default_rng(0)
    codes_NS = bundle.semantic_ids.codes_NS
    return [
        [ItemCodes(int(n), codes_NS[n]) for n in random.integers(0, ITEMS, random.integers(1, 13))]
        for _ in range(count)
    ]


def test_a_batch_is_padded_to_its_longest_history_and_no_further(tiny: Bundle) -> None:
    made = histories(tiny, 3)
    (batch,) = feeds(tiny, [made])
    longest = max(map(len, made))
    assert batch.codes_BTS.shape == (3, longest, 4)
    assert batch.length_B.tolist() == [len(history) for history in made]
    assert longest <= MAX_HISTORY


def test_onnx_and_torch_agree_and_batching_changes_nothing(tiny: Bundle) -> None:
    onnx, torch = OnnxScorer(tiny, "cpu", 1), TorchScorer(tiny, "cpu", 1)
    made = histories(tiny)
    together_BD = onnx.encode(made)
    np.testing.assert_allclose(together_BD, torch.encode(made), atol=1e-5)
    alone_BD = np.concatenate([onnx.encode([history]) for history in made])
    np.testing.assert_allclose(together_BD, alone_BD, atol=1e-5)


def test_int8_weights_give_nearly_the_same_vectors(tiny: Bundle) -> None:
    made = histories(tiny)
    exact_BD, int8_BD = (make_scorer(tiny, p, 1).encode(made) for p in ("cpu", "cpu-int8"))
    near_BB = int8_BD @ exact_BD.T
    assert (near_BB.argmax(axis=1) == (exact_BD @ exact_BD.T).argmax(axis=1)).mean() > 0.9
    assert 0 < np.abs(int8_BD - exact_BD).mean() < 0.1 * np.abs(exact_BD).mean()


def test_a_bundle_without_int8_says_so(tiny: Bundle) -> None:
    files = {k: v for k, v in tiny.manifest.files.items() if k != FILES.ONNX_INT8}
    without = dataclasses.replace(tiny, manifest=tiny.manifest.model_copy(update={"files": files}))
    with pytest.raises(ProviderError, match="no INT8 graph"):
        make_scorer(without, "cpu-int8", 1)


def test_a_live_item_is_read_as_an_item_of_the_bundle_that_is_like_it(tiny: Bundle) -> None:
    codes_S, read_D = tiny.semantic_ids.codes_NS[5], tiny.vectors.read(np.array(5))
    providers: tuple[Provider, ...] = ("cpu", "torch")
    for provider in providers:
        scorer = make_scorer(tiny, provider, 1)
        live, own = ItemCodes(ITEMS + 3, codes_S, read_D), ItemCodes(5, codes_S)
        other = ItemCodes(8, tiny.semantic_ids.codes_NS[8])
        found_BD = scorer.encode([[other, live], [live]])
        np.testing.assert_allclose(found_BD, scorer.encode([[other, own], [own]]), atol=1e-5)


def settings_of(bundle: Bundle, provider: str) -> Settings:
    return Settings(bundle=bundle.directory, provider=provider)


def test_a_graph_that_cannot_run_is_an_error_or_for_auto_the_fallback(
    tiny: Bundle, tmp_path: Path
) -> None:
    (tmp_path / FILES.ONNX).write_bytes(b"no graph")
    shutil.copy(tiny.weights_path, tmp_path)
    broken = dataclasses.replace(tiny, directory=tmp_path)
    with pytest.raises(ProviderError, match="`cpu` cannot serve"):
        make_scorer(broken, "cpu", 1)
    assert make_engine(broken, settings_of(broken, "auto")).provider == "torch-cpu"


SERVED_WITHOUT = ["torch", "training", "polars", "lightning", "scipy", "onnxscript", "wordllama"]


def test_nothing_of_torch_or_training_is_loaded_to_serve_onnx(tiny: Bundle) -> None:
    """A service image holds none of it, and torch alone takes seconds to import."""
    code = f"""
import sys
import service.process.cli
from fastapi.testclient import TestClient
from service.http.app import create_app
from service.settings import Settings

with TestClient(create_app(Settings(bundle={str(tiny.directory)!r}, provider="cpu"))) as client:
    answer = client.post("/recommend", json={{"history": ["item-1"]}})
    assert answer.json()["fallback"] is None, answer.text
print([name for name in {SERVED_WITHOUT!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_without_torch_its_provider_names_the_extra(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(ProviderError, match="the extra `torch`") as raised:
        make_scorer(tiny, "torch", 1)
    assert "\n" not in str(raised.value)


def test_a_graph_that_gives_no_numbers_is_refused_before_it_serves(
    tiny: Bundle, tmp_path: Path
) -> None:
    """It was ready, and every personal request failed."""
    broken = dataclasses.replace(tiny, directory=tmp_path)
    _spoil(tiny.onnx_path, broken.onnx_path)
    shutil.copy(tiny.weights_path, tmp_path)
    with pytest.raises(ProviderError, match="`cpu` gives vectors that are not finite"):
        make_scorer(broken, "cpu", 1)
    assert make_engine(broken, settings_of(broken, "auto")).provider == "torch-cpu"


def _spoil(source: Path, target: Path) -> None:
    """Copy a graph with a NaN in the largest of its weights that products are made with."""
    graph = onnx.load(source)
    second = {node.input[1] for node in graph.graph.node if node.op_type == "MatMul"}
    weight = max(
        (w for w in graph.graph.initializer if w.name in second), key=lambda w: w.ByteSize()
    )
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(graph, target)


@pytest.mark.parametrize("provider", ["cuda", "torch-cuda"])
def test_a_gpu_that_is_asked_for_and_absent_is_an_error(tiny: Bundle, provider: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ProviderError):
        make_engine(tiny, settings_of(tiny, provider))


@pytest.mark.parametrize(
    ("provider", "active"), [("cpu", "onnx-cpu"), ("torch", "torch-cpu"), ("auto", "onnx-cpu")]
)
def test_the_active_provider_is_named(tiny: Bundle, provider: str, active: str) -> None:
    assert make_engine(tiny, settings_of(tiny, provider)).provider == active
