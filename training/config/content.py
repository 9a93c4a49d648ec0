"""How the content of items becomes vectors and words."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from models.contract.types import BEHAVIOUR, IMAGE, MODALITY_NAME, TEXT, Modality, in_order
from training.config.section import Section


class ModalityConfig(Section):
    """``[encode.text]``, ``[encode.image]``, ``[encode.NAME]``: an encoder, or your own vectors."""

    encoder: str = Field(
        "default",
        description="default, none, or a sentence-transformers / CLIP model's name",
    )
    vectors: Path | None = Field(None, description="ready vectors: .npy, .safetensors or .parquet")
    ids: Path | None = Field(None, description="item ids of the rows of .npy, one a line")
    batch_size: int = Field(64, ge=1, description="items encoded at once")

    @model_validator(mode="after")
    def _vectors_have_ids(self) -> Self:
        ending = self.vectors.suffix if self.vectors else ".parquet"
        if ending not in (".npy", ".safetensors", ".parquet"):
            raise ValueError("vectors: they are read from .npy, .safetensors or .parquet")
        if ending != ".parquet" and self.ids is None:
            raise ValueError(f"ids: required, {ending} holds none: a file of an item id a line")
        return self


class WordsConfig(Section):
    """``[encode.words]``: which words of texts and attributes get a learned vector."""

    min_items: int = Field(2, ge=1, description="a word that fewer items have tells nothing")
    most: int = Field(100_000, ge=0, description="the commonest words only; 0 = no words")


class EncodeConfig(Section):
    """``[encode]``: content to vectors. A table of any other name adds a modality of that name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, ModalityConfig]

    text: ModalityConfig = ModalityConfig()
    image: ModalityConfig = ModalityConfig()
    words: WordsConfig = WordsConfig()
    cache: Path | None = Field(None, description="default: <output>/../cache")

    def modalities(self) -> dict[Modality, ModalityConfig]:
        """How each modality is encoded, in the order of modalities."""
        asked = {TEXT: self.text, IMAGE: self.image, **self.__pydantic_extra__}
        return {modality: asked[modality] for modality in in_order(asked)}

    @model_validator(mode="after")
    def _other_modalities_are_named_and_have_vectors(self) -> Self:
        for name, asked in self.__pydantic_extra__.items():
            if name == BEHAVIOUR or not re.fullmatch(MODALITY_NAME, name):
                raise ValueError(
                    f"encode.{name}: no name for a modality; small letters, digits and _ make one "
                    f"(up to 32, a letter first), and {BEHAVIOUR} is learned from the log"
                )
            # Encoders are looked up by name, not imported: they build upon this module.
            if not asked.vectors and find_spec(f"training.encoders.kinds.{name}") is None:
                raise ValueError(f"encode.{name}.vectors: required, no encoder is called {name}")
        return self
