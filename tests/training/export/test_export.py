from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import quantize_dynamic
from safetensors.numpy import load_file, save_file

from models.contract import bundle
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import FloatArray
from models.nets.sequence import HistoryEncoder
from tests.conftest import TinyBundles
from tests.tiny_bundle import ITEMS, _held_out, export_no_graph, write_tiny_bundle
from training.data.histories import Histories, Part, Windows, targets
from training.errors import UserError
from training.evaluate.ranking import Task
from training.export import export
from training.export.int8 import Int8, differing
from training.export.onnx_ranker import OnnxRanker, same_top
from training.export.score_deciles import score_deciles


@pytest.fixture
def exported(tiny_bundles: TinyBundles, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle, whose graph the exports of a test take over."""
    directory = tiny_bundles.copy()
    export_no_graph(monkeypatch, directory / bundle.FILES.ONNX)
    return directory


@pytest.mark.usefixtures("exported")
def test_onnx_and_torch_agree_on_every_history(tmp_path: Path) -> None:
    parity = write_tiny_bundle(tmp_path)
    assert parity.histories == 40
    assert parity.same_top == parity.histories
    assert parity.worst_score < export.SCORE_TOLERANCE


def test_no_manifest_is_written_where_the_runtimes_disagree(exported: Path, tmp_path: Path) -> None:
    graph = onnx.load(exported / bundle.FILES.ONNX)
    name = "model.towers.0.blocks.0.feed_out.bias"
    (bias,) = (tensor for tensor in graph.graph.initializer if tensor.name == name)
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.01, name))
    onnx.save(graph, exported / bundle.FILES.ONNX)
    with pytest.raises(UserError, match="disagree"):
        write_tiny_bundle(tmp_path)
    assert not (tmp_path / bundle.MANIFEST).exists()


def test_the_exported_weights_hold_no_table_of_items(
    tiny_bundles: TinyBundles, tmp_path: Path
) -> None:
    found = bundle.read(tiny_bundles.copy())
    weights = load_file(found.weights_path)
    assert all(ITEMS + 1 not in weight.shape for weight in weights.values())
    encoder = HistoryEncoder.load(found.weights_path, found.manifest.architecture)
    assert encoder.weights().keys() == weights.keys()
    save_file({"other": np.zeros(1, np.float32)}, tmp_path / "other")
    with pytest.raises(ValueError, match="another model"):
        HistoryEncoder.load(tmp_path / "other", found.manifest.architecture)


def test_swapped_ties_count_as_the_same_top_but_wrong_items_do_not() -> None:
    scores_BN = np.array([[3.0, 3.0, 1.0, 0.0]], np.float32)
    tied_BN = scores_BN + np.array([[0, 1e-6, 0, 0]], np.float32)
    wrong_BN = np.array([[3.0, 1.0, 3.0, 0.0]], np.float32)
    assert same_top(scores_BN, tied_BN) == 1
    assert same_top(scores_BN, wrong_BN) == 0


def test_a_bundle_holds_exactly_its_files(tiny_bundles: TinyBundles) -> None:
    optional = bundle.FILES.ONNX_INT8, bundle.FILES.ATTRIBUTES, bundle.FILES.MAP
    files = {*bundle.FILES.ALL, *optional, bundle.MANIFEST}
    assert {path.name for path in tiny_bundles.copy().iterdir()} == files
    large = files | {bundle.FILES.INDEX, bundle.FILES.ROTATION}
    assert {path.name for path in tiny_bundles.copy(indexed=True).iterdir()} == large


def test_int8_is_in_the_bundle_only_where_it_costs_next_to_nothing(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = exported / bundle.FILES.MODEL_CARD
    assert "BBQREC_PROVIDER=cpu-int8" in card.read_text()
    assert bundle.read(exported).int8_path == exported / bundle.FILES.ONNX_INT8
    assert "0 of 40 histories get another top-10" in card.read_text()
    card = tmp_path / bundle.FILES.MODEL_CARD
    monkeypatch.setattr(export, "compare", lambda *_: Int8(0.2, 0.19, histories=40, differing=0))
    write_tiny_bundle(tmp_path)
    assert "0.2000, with weights in INT8 0.1900 (-5.00%)" in card.read_text()
    assert "does not hold it" in card.read_text()
    assert bundle.read(tmp_path).int8_path is None
    assert not (tmp_path / bundle.FILES.ONNX_INT8).exists()
    assert not Int8(0.2, 0.2, histories=40, differing=1).kept


def test_the_int8_check_sees_answers_that_depend_on_neighbours(
    tiny_bundles: TinyBundles, tmp_path: Path
) -> None:
    """By scales taken from the batch, 60 of 1,012 did; by fixed ones none does."""
    found = bundle.read(tiny_bundles.copy())
    assert found.int8_path is not None
    dynamic = tmp_path / "dynamic.onnx"
    quantize_dynamic(found.onnx_path, dynamic, op_types_to_quantize=["MatMul"], per_channel=True)
    held_out = _held_out(np.random.default_rng(1))
    count = {
        graph: differing(
            OnnxRanker(
                graph,
                found.manifest.architecture,
                found.semantic_ids.codes_NS,
                found.vectors,
            ),
            held_out,
        )
        for graph in (dynamic, found.int8_path)
    }
    assert count[dynamic] > 0
    assert count[found.int8_path] == 0


def test_a_table_of_another_catalogue_is_refused(tiny_bundles: TinyBundles) -> None:
    directory = tiny_bundles.copy()
    found = bundle.read(directory)
    table = found.semantic_ids
    shorter = SemanticIdTable(table.space, table.codes_NS[:-1], table.extra_N[:-1])
    bundle.write_tables(directory, found.catalogue, shorter, found.vectors)
    fields = found.manifest.model_dump(exclude={"schema_version", "files"})
    bundle.write_manifest(directory, fields)
    with pytest.raises(bundle.BundleError, match="59 rows"):
        bundle.read(directory)


class Known:
    """Scores item n with n."""

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        return np.tile(np.arange(ITEMS, dtype=np.float32), (len(windows.start), 1))


def test_deciles_are_of_the_best_scores_of_what_may_be_recommended() -> None:
    """Here of two histories: the best item was seen in one, and is the best in the other."""
    items = np.array([ITEMS - 1, 1, 2, 0, 1, 2], np.int32)
    held_out = targets(
        Histories(np.array([0, 3, 6]), items, np.array([0, 0, 2, 0, 0, 2], np.uint8)), Part.TEST
    )
    new, nobody = Task(held_out, ITEMS, filter_seen=True), held_out.take(np.array([], int))
    found = score_deciles(Known(), new)
    np.testing.assert_allclose(found, np.quantile([ITEMS - 2, ITEMS - 1], np.arange(1, 10) / 10))
    assert score_deciles(Known(), new._replace(filter_seen=False)) == [ITEMS - 1] * 9
    assert score_deciles(Known(), new._replace(held_out=nobody)) == []
