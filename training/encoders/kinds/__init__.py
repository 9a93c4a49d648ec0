"""Kinds of encoders: a module each, which says what it reads of an item and who encodes that.

``[encode.NAME]`` in the configuration finds ``kinds/NAME.py`` and takes its ``KIND``; a new kind is
one new file here. What has no module here has ready vectors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Generic

import polars as pl

from models.contract.types import Modality
from training.encoders.contents import Contents
from training.encoders.interface import Content, Encoder


@dataclass(frozen=True)
class Kind(Generic[Content]):
    """How one modality of a catalogue becomes vectors."""

    noun: str  # what the progress bar says is being encoded
    read: Callable[[pl.DataFrame], Contents[Content]]  # from the columns of items.parquet
    make: Callable[[str], Encoder[Content]]  # from ``encoder`` in the configuration


def kind_of(modality: Modality) -> Kind[Content]:
    """The kind of encoder for this modality. Raises ModuleNotFoundError where there is none."""
    kind: Kind[Content] = import_module(f"{__name__}.{modality}").KIND
    return kind
