"""``[encode.text]``: the column ``text``, by WordLlama unless another model is named."""

from collections.abc import Iterator, Sequence

import polars as pl

from training.encoders.cache import content_key
from training.encoders.contents import Reject
from training.encoders.interface import Encoder
from training.encoders.kinds import Kind


class Texts:
    """The column ``text``; null or blank is missing."""

    def __init__(self, items: pl.DataFrame) -> None:
        self._texts = [(text or "").strip() for text in items["text"]]
        self.keys = [content_key(text.encode()) if text else None for text in self._texts]

    def load(self, rows: Sequence[int]) -> Sequence[str]:
        """The texts, without surrounding blanks."""
        return [self._texts[row] for row in rows]

    def rejects(self) -> Iterator[Reject]:
        """A text cannot be corrupt: the reader has seen to its encoding."""
        return iter(())


def text_encoder(name: str) -> Encoder[str]:
    """The text encoder of this name; heavy packages are imported only when asked for."""
    if name in ("default", "wordllama"):
        from training.encoders.wordllama import WordLlamaEncoder

        return WordLlamaEncoder()
    from training.encoders.named import NamedEncoder

    return NamedEncoder(name, "probe")


KIND = Kind("texts", Texts, text_encoder)
