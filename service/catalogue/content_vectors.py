"""Content -> a vector a modality: ready ones, or of its text by the bundle's token vectors."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.contract.content_vectors import mean_of_tokens, unit
from models.contract.intake import Content, IntakeCard, IntakeError
from models.contract.types import IMAGE, TEXT, FloatArray, Modality
from models.contract.words import joined
from service.catalogue.opening import opening
from service.catalogue.picture_vectors import PictureVectors


class Column(NamedTuple):
    """One modality of a batch: vectors, zero where there is none, and whether there is one."""

    vectors_BX: FloatArray
    present_B: NDArray[np.bool_]


class ContentVectors:
    """Makes the vectors that a bundle's quantizer wants. Raises IntakeError for what it cannot."""

    def __init__(
        self,
        card: IntakeCard,
        tokenizer: Path,
        tokens_VX: FloatArray | None,
        pictures: PictureVectors | None,
    ) -> None:
        self.card = card
        self._pictures = pictures
        self._path = tokenizer
        self._tokens_VX = tokens_VX

    def of(self, contents: Sequence[Content]) -> Mapping[Modality, Column]:
        """A column of each modality that the model knows, in order."""
        for content in contents:
            self._check(content)
        return {modality: self._column(modality, contents) for modality in self.card.modalities}

    def text(self, content: Content) -> str | None:
        """The item's one text, its title in it where the item file had it so."""
        columns = self.card.columns
        said: dict[str | None, str | None] = {columns.title: content.title}
        said |= content.text  # type: ignore[arg-type]  # a dict of less is one of more
        return joined([said.get(column) for column in columns.text])

    def _column(self, modality: Modality, contents: Sequence[Content]) -> Column:
        size = self.card.modalities[modality].size
        column = Column(
            np.zeros((len(contents), size), np.float32), np.zeros(len(contents), np.bool_)
        )
        for row, content in enumerate(contents):
            vector_X = content.vectors.get(modality)
            if vector_X is None and modality == TEXT:
                vector_X = self._of_text(content)
            if vector_X is None and modality == IMAGE and self._pictures and content.picture:
                vector_X = self._pictures.of(content.picture)
            if vector_X is not None:
                column.vectors_BX[row], column.present_B[row] = vector_X, True
        return column

    def _check(self, content: Content) -> None:
        for modality, vector_X in content.vectors.items():
            known = self.card.modalities.get(modality)
            if known is None:
                names = ", ".join(self.card.modalities) or "none"
                raise IntakeError(f"vectors.{modality}", f"the model knows vectors of: {names}")
            if vector_X.shape != (known.size,) or not np.isfinite(vector_X).all():
                raise IntakeError(f"vectors.{modality}", f"must be {known.size} finite numbers")
        if unknown := set(content.text) - set(self.card.columns.text):
            names = ", ".join(self.card.columns.text) or "none"
            raise IntakeError(f"text.{min(unknown)}", f"the model was trained on texts: {names}")
        if content.picture is not None and self._pictures is None:
            sent = f"its vector as vectors.{IMAGE}" if IMAGE in self.card.modalities else "none"
            raise IntakeError("picture", f"the bundle cannot encode pictures: send {sent}")
        encoder = self.card.modalities.get(TEXT)
        if encoder and self._tokens_VX is None and content.text and TEXT not in content.vectors:
            reason = f"required: what makes it, {encoder.encoder}, is not in the bundle"
            raise IntakeError(f"vectors.{TEXT}", reason)

    def _of_text(self, content: Content) -> FloatArray | None:
        """The mean of its tokens' vectors, at unit length; None without a text."""
        text = (self.text(content) or "").strip()
        if not text or self._tokens_VX is None:
            return None
        mean_X = mean_of_tokens(text, self._tokenizer, self._tokens_VX)
        vector_X: FloatArray = unit(mean_X[None])[0]
        return vector_X

    @cached_property
    def _tokenizer(self) -> Any:
        with opening(self._path):
            tokenizer = Tokenizer.from_file(str(self._path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer
