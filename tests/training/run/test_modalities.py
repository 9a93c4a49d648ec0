"""Modalities are data: a vector of one's own, and an encoder that only this test knows."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import load_file

from models.contract import bundle
from models.contract.bundle import Bundle
from service.http.app import create_app
from service.settings import Settings
from tests.simulated_shop import Shop, simulate
from training.config import RunConfig
from training.encoders import kinds
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

# All that a fourth kind of encoder is: one file in the folder of kinds.
AUDIO = """
from pathlib import Path
import numpy as np
from training.encoders.cache import content_key
from training.encoders.kinds import Kind

class Clips:
    def __init__(self, items):
        self.clips = [Path(path).read_bytes() if path else None for path in items["audio_path"]]
        self.keys = [content_key(clip) if clip else None for clip in self.clips]
    def load(self, rows):
        return [self.clips[row] for row in rows]
    def rejects(self):
        return iter(())

class Loudness:
    name, size = "loudness-1", 3
    def encode(self, batch):
        return np.array([np.frombuffer(clip, np.uint8)[:3] for clip in batch], np.float32)

KIND = Kind("clips", Clips, lambda name: Loudness())
"""
WITHOUT = {"audio": {"item-0003", "item-0008"}, "type": {"item-0008", "item-0011"}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = simulate(tmp_path_factory.mktemp("shop"), users=60, items=40)
    items = pl.read_csv(shop.items)
    (shop.folder / "clips").mkdir()
    random = np.random.default_rng(0)
    for item_id in set(shop.item_ids) - WITHOUT["audio"]:
        (shop.folder / "clips" / item_id).write_bytes(random.bytes(8))
    clips = [f"clips/{item_id}" for item_id in items["item_id"]]
    items.with_columns(clip=pl.Series(clips)).write_csv(shop.items)
    own = [item_id for item_id in shop.item_ids if item_id not in WITHOUT["type"]]
    (shop.folder / "ids.txt").write_text("\n".join(own))
    np.save(shop.folder / "own.npy", random.standard_normal((len(own), 5)).astype(np.float32))
    return shop


@pytest.fixture(scope="module")
def run(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunConfig]:
    folder = tmp_path_factory.mktemp("run")
    (folder / "audio.py").write_text(AUDIO)
    own = {"vectors": shop.folder / "own.npy", "ids": shop.folder / "ids.txt"}
    asked: dict[str, Any] = {
        "name": "modalities",
        "output": folder / "out",
        "threads": 1,
        "loggers": [],
        "interactions": {"path": shop.interactions},
        "items": {"path": shop.items, "columns": {"files": {"audio": "clip"}}},
        "filter": {"k_core": 0},
        "encode": {"type": own, "audio": {}},
        "quantize": {"codebook_size": 8, "levels": 2, "vector_size": 8, "epochs": 2},
        "fit": {"width": 16, "blocks": 1, "heads": 1, "epochs": 1, "borrowing": [0.0]},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "__path__", [*kinds.__path__, str(folder)])
        config = RunConfig.model_validate(asked)
        pipeline = Pipeline(config, STAGES)
        for stage in STAGES:
            pipeline.run(stage.name)
        yield config


@pytest.fixture(scope="module")
def made(run: RunConfig) -> Bundle:
    return bundle.read(run.output / "current")


def test_every_modality_has_slots_in_order(made: Bundle) -> None:
    modalities = made.manifest.architecture.code_space.modalities
    assert modalities == ("text", "image", "audio", "type", "behaviour")


@pytest.mark.parametrize("modality", ["audio", "type"])
def test_what_is_missing_is_null_and_the_rest_is_coded(made: Bundle, modality: str) -> None:
    space = made.manifest.architecture.code_space
    codes_NL = made.semantic_ids.codes_NML[:, space.modalities.index(modality)]
    for item, codes_L in zip(made.catalogue, codes_NL, strict=True):
        missing = item.item_id in WITHOUT[modality]
        assert ((codes_L == space.null_code) == missing).all()
    assert len(np.unique(codes_NL, axis=0)) > 4


@pytest.mark.parametrize("modality", ["audio", "type"])
def test_health_tells_how_a_modality_is_coded(made: Bundle, modality: str) -> None:
    health = made.manifest.health
    for figure in ("level_1/used", "unexplained_variance", "specific_variance", "club_bound"):
        assert np.isfinite(health[f"{modality}/{figure}"])
    assert health[f"{modality}/level_1/used"] > 0


def test_similarities_of_all_pairs_of_content_reweight_attention(made: Bundle) -> None:
    weights = load_file(made.directory / bundle.FILES.WEIGHTS)
    (bias,) = {w.shape for name, w in weights.items() if name.endswith("bucket_bias")}
    assert bias[0] == 5 + 6  # each with itself, and pairs of the four that are content


def test_the_service_answers_whatever_the_modalities(made: Bundle) -> None:
    with TestClient(create_app(Settings(bundle=made.directory, provider="cpu", drain=0))) as client:
        for history in (["item-0001"], ["item-0008", "item-0003"]):
            answer = client.post("/recommend", json={"history": history, "k": 5}).json()
            assert answer["fallback"] is None
            assert len(answer["items"]) == 5


def test_each_vector_is_accounted_for(run: RunConfig) -> None:
    summary = json.loads((run.output / "encode/encode.json").read_text())
    assert summary["audio"]["encoder"] == "loudness-1"
    assert summary["type"]["encoder"] == "vectors:own.npy"
    assert [summary[modality]["missing"] for modality in WITHOUT] == [2, 2]
