"""Runs of the command line on the simulated shop."""

import subprocess
import sys
from pathlib import Path

from tests.simulated_shop import Shop
from training.config import RunConfig, load
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

PROGRAM = Path(sys.executable).with_name("bbqrec-train")
TOML = """
name = "simulated-shop"
output = "{output}"
seed = 1
threads = 1
[interactions]
path = "{shop.interactions}"
[items]
path = "{shop.items}"
columns.title = "title"
columns.text = ["title", "description"]
columns.image = "image_path"
keep_unseen = true
[filter]
k_core = 3
[quantize]
codebook_size = 16
levels = 3
vector_size = 16
hidden_size = 32
batch_size = 60
epochs = 20
[fit]
width = 32
blocks = 1
heads = 1
batch_tokens = 512
learning_rate = 5e-3
epochs = 8
patience = 3
[evaluate]
cold_share = 0.2  # the shop is small
"""


def train(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=600, check=False
    )


def prepared(shop: Shop, directory: Path) -> RunConfig:
    """That configuration, its data prepared and encoded."""
    config = load(write_config(shop, directory))
    pipeline = Pipeline(config, STAGES)
    for stage in ("prepare", "encode"):
        pipeline.run(stage)
    return config


def write_config(shop: Shop, directory: Path) -> Path:
    """A configuration in this folder, whose outputs go to ``out`` beside it."""
    directory.mkdir(exist_ok=True)
    path = directory / "run.toml"
    path.write_text(TOML.format(shop=shop, output=directory / "out"))
    return path
