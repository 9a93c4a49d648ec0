from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime.quantization import quantize_dynamic
from safetensors.numpy import load_file, save_file

from models.contract import bundle
from models.contract.semantic_id import SemanticIdTable
from models.nets.sequence import HistoryEncoder
from tests.tiny_bundle import ITEMS, _held_out, write_tiny_bundle
from training.errors import UserError
from training.export import export
from training.export.int8 import Int8, differing
from training.export.onnx_ranker import OnnxRanker, same_top


def test_onnx_and_torch_agree_on_every_history(tmp_path: Path) -> None:
    parity = write_tiny_bundle(tmp_path)
    assert parity.histories == 40
    assert parity.same_top == parity.histories
    assert parity.worst_score < export.SCORE_TOLERANCE


def test_no_manifest_is_written_where_the_runtimes_disagree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = export.write_onnx

    def altered(encoder: HistoryEncoder, path: Path) -> None:
        weight = encoder.get_parameter("model.towers.0.blocks.0.feed_out.weight")
        with torch.no_grad():
            weight.add_(0.01)
            honest(encoder, path)
            weight.sub_(0.01)

    monkeypatch.setattr(export, "write_onnx", altered)
    with pytest.raises(UserError, match="disagree"):
        write_tiny_bundle(tmp_path)
    assert not (tmp_path / bundle.MANIFEST).exists()


def test_the_exported_weights_hold_no_table_of_items(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    found = bundle.read(tmp_path)
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


def test_a_bundle_holds_exactly_its_files(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    optional = bundle.FILES.ONNX_INT8, bundle.FILES.ATTRIBUTES, bundle.FILES.MAP
    files = {*bundle.FILES.ALL, *optional, bundle.MANIFEST}
    assert {path.name for path in tmp_path.iterdir()} == files
    large = tmp_path / "large"
    large.mkdir()
    write_tiny_bundle(large, indexed=True)
    indexed = files | {bundle.FILES.INDEX, bundle.FILES.ROTATION}
    assert {path.name for path in large.iterdir()} == indexed


def test_int8_is_in_the_bundle_only_where_it_costs_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(tmp_path)
    card = tmp_path / bundle.FILES.MODEL_CARD
    assert "BBQREC_PROVIDER=cpu-int8" in card.read_text()
    assert bundle.read(tmp_path).int8_path == tmp_path / bundle.FILES.ONNX_INT8
    assert "0 of 40 histories get another top-10" in card.read_text()
    monkeypatch.setattr(export, "compare", lambda *_: Int8(0.2, 0.19, histories=40, differing=0))
    write_tiny_bundle(tmp_path)
    assert "0.2000, with weights in INT8 0.1900 (-5.00%)" in card.read_text()
    assert "does not hold it" in card.read_text()
    assert bundle.read(tmp_path).int8_path is None
    assert not (tmp_path / bundle.FILES.ONNX_INT8).exists()
    assert not Int8(0.2, 0.2, histories=40, differing=1).kept


def test_the_int8_check_sees_answers_that_depend_on_neighbours(tmp_path: Path) -> None:
    """By scales taken from the batch, 60 of 1,012 did; by fixed ones none does."""
    write_tiny_bundle(tmp_path)
    found = bundle.read(tmp_path)
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


def test_a_table_of_another_catalogue_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    found = bundle.read(tmp_path)
    table = found.semantic_ids
    shorter = SemanticIdTable(table.space, table.codes_NS[:-1], table.extra_N[:-1])
    bundle.write_tables(tmp_path, found.catalogue, shorter, found.vectors)
    fields = found.manifest.model_dump(exclude={"schema_version", "files"})
    bundle.write_manifest(tmp_path, fields)
    with pytest.raises(bundle.BundleError, match="59 rows"):
        bundle.read(tmp_path)
