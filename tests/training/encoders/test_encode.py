"""Content to vectors: masks, corruption, caching, the user's own vectors, the offline defaults."""

import io
import json
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw
from safetensors.numpy import save_file

from models.contract.types import IMAGE, TEXT, FloatArray
from training.config import EncodeConfig, ModalityConfig
from training.encoders.efficientnet import EfficientNetEncoder
from training.encoders.encode import encode_items, load_embeddings
from training.encoders.kinds import Kind, text
from training.encoders.wordllama import WordLlamaEncoder
from training.errors import UserError

SCHEMA = {
    "item_index": pl.UInt32,
    "item_id": pl.String,
    "title": pl.String,
    "text": pl.String,
    "attributes": pl.String,
    "image_path": pl.String,
    "image_bytes": pl.Binary,
}


def items(
    texts: Sequence[str | None], pictures: Sequence[bytes | None] | None = None
) -> pl.DataFrame:
    pictures = pictures or [None] * len(texts)
    rows = [
        (n, f"item-{n}", None, text, None, None, picture)
        for n, (text, picture) in enumerate(zip(texts, pictures, strict=True))
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def png(colour: tuple[int, ...] | int, mode: str = "RGB", shape: str = "ellipse") -> bytes:
    picture = Image.new(mode, (64, 64))
    getattr(ImageDraw.Draw(picture), shape)((8, 8, 56, 56), fill=colour)
    file = io.BytesIO()
    picture.save(file, "TIFF" if mode == "CMYK" else "PNG")
    return file.getvalue()


class CountingEncoder:
    """Vectors from lengths; counts what it is asked."""

    size = 3

    def __init__(self, name: str = "counting") -> None:
        self.name = name
        self.asked: list[str] = []

    def encode(self, batch: Sequence[str]) -> FloatArray:
        self.asked += batch
        return np.array([[len(text), 1, 2] for text in batch], np.float32)


def encode(
    frame: pl.DataFrame,
    directory: Path,
    encoder: CountingEncoder,
    config: EncodeConfig | None = None,
) -> None:
    out = directory / "out"
    out.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "KIND", Kind("texts", text.Texts, lambda name: encoder))
        encode_items(frame, config or EncodeConfig(), out, directory / "cache")


def test_a_missing_text_is_a_mask(tmp_path: Path) -> None:
    encode(items(["a lamp", None, "   ", "a chair"]), tmp_path, CountingEncoder())
    found = load_embeddings(tmp_path / "out")[TEXT]
    assert found.present_N.tolist() == [True, False, False, True]
    assert not found.vectors_ND[~found.present_N].any()
    assert found.vectors_ND[found.present_N].any(axis=1).all()


def test_the_cache_answers_for_content_it_has_seen_whatever_the_item(tmp_path: Path) -> None:
    first, second, renamed = CountingEncoder(), CountingEncoder(), CountingEncoder("other")
    encode(items(["lamp", "chair", "lamp"]), tmp_path, first)
    assert sorted(first.asked) == ["chair", "lamp"]  # equal content once
    encode(items(["table", "lamp", "chair"]), tmp_path, second)
    assert second.asked == ["table"]
    assert load_embeddings(tmp_path / "out")[TEXT].vectors_ND[:, 0].tolist() == [5, 4, 5]
    encode(items(["lamp"]), tmp_path, renamed)
    assert renamed.asked == ["lamp"]  # another encoder's vectors are of no use


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    encode(items(["lamp", "chair"]), tmp_path, CountingEncoder())
    for shard in (tmp_path / "cache").rglob("*"):
        if shard.is_file():
            shard.write_bytes(shard.read_bytes()[:-3])
    again = CountingEncoder()
    encode(items(["lamp", "chair"]), tmp_path, again)
    assert sorted(again.asked) == ["chair", "lamp"]


def test_a_modality_that_is_off_or_empty_is_left_out(tmp_path: Path) -> None:
    off = EncodeConfig(text=ModalityConfig(encoder="none"))
    encode(items(["lamp"]), tmp_path, CountingEncoder(), off)
    assert load_embeddings(tmp_path / "out") == {}


def test_a_corrupt_picture_is_reported_and_missing(tmp_path: Path) -> None:
    good = png((255, 0, 0))
    frame = items([None] * 4, [good, good[:40], b"not a picture", None])
    out = tmp_path / "out"
    out.mkdir()
    found = encode_items(frame, EncodeConfig(), out, tmp_path / "cache")[IMAGE]
    assert found.present_N.tolist() == [True, False, False, False]
    rejects = [json.loads(line) for line in (out / "encode_rejects.jsonl").read_text().splitlines()]
    assert [reject["item_id"] for reject in rejects] == ["item-1", "item-2"]
    assert all(reject["reason"] for reject in rejects)


@pytest.mark.parametrize(
    ("mode", "colour"),
    [
        ("L", 200),
        ("P", 3),
        ("LA", (200, 128)),
        ("RGBA", (9, 9, 9, 9)),
        ("I;16", 999),
        ("CMYK", (9, 9, 9, 9)),
    ],
)
def test_every_picture_mode_is_read(
    tmp_path: Path, mode: str, colour: tuple[int, ...] | int
) -> None:
    frame = items([None], [png(colour, mode)])
    found = encode_items(frame, EncodeConfig(), tmp_path, tmp_path / "cache")[IMAGE]
    assert found.present_N.all()
    assert found.vectors_ND.shape == (1, 1280)


@pytest.mark.parametrize("kind", ["npy", "safetensors", "parquet"])
def test_own_vectors_are_matched_by_item_id(tmp_path: Path, kind: str) -> None:
    vectors = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    path, ids = tmp_path / f"own.{kind}", tmp_path / "ids.txt"
    names = ["item-2", "nobody", "item-0"]
    ids.write_text("\n".join(names) + "\n")
    if kind == "npy":
        np.save(path, vectors)
    elif kind == "safetensors":
        save_file({"vectors": vectors}, path)
    else:
        pl.DataFrame({"item_id": names, "vector": vectors.tolist()}).write_parquet(path)
    own = ModalityConfig(vectors=path, ids=None if kind == "parquet" else ids)
    found = encode_items(items([None] * 3), EncodeConfig(text=own), tmp_path, tmp_path / "cache")[
        TEXT
    ]
    assert found.present_N.tolist() == [True, False, True]
    assert found.vectors_ND.tolist() == [[5, 6], [0, 0], [1, 2]]


def test_own_vectors_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path, ids = tmp_path / "own.npy", tmp_path / "ids.txt"
    np.save(path, np.array([[1, np.nan], [1, 2]], np.float32))
    ids.write_text("item-0\nitem-1\n")
    own = EncodeConfig(text=ModalityConfig(vectors=path, ids=ids))
    with pytest.raises(UserError, match=r"own\.npy"):
        encode_items(items([None] * 2), own, tmp_path, tmp_path / "cache")
    np.save(path, np.array([{"a": 1}], object))
    with pytest.raises(UserError, match=r"own\.npy"):
        encode_items(items([None] * 2), own, tmp_path, tmp_path / "cache")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the default encoders must not touch the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_the_default_text_encoder_knows_what_words_mean() -> None:
    lipstick, gloss, hose = WordLlamaEncoder().encode(
        ["red lipstick", "crimson lip gloss", "garden hose"]
    )
    assert lipstick @ gloss > lipstick @ hose + 0.1


@pytest.mark.usefixtures("no_network")
def test_the_default_picture_encoder_sees_shapes_and_colours() -> None:
    def picture(colour: tuple[int, int, int], shape: str, size: int) -> Image.Image:
        made = Image.new("RGB", (size, size), "white")
        box = (size // 8, size // 8, size - size // 8, size - size // 8)
        getattr(ImageDraw.Draw(made), shape)(box, fill=colour)
        return made

    red, red_again, blue = EfficientNetEncoder().encode(
        [
            picture((220, 20, 20), "ellipse", 200),
            picture((220, 20, 20), "ellipse", 160),
            picture((20, 20, 220), "rectangle", 200),
        ]
    )
    assert red @ red_again > red @ blue
