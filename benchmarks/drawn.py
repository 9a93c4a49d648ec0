"""Catalogues that are drawn at random, for benchmarks in which only time and memory count."""

import numpy as np
import torch

from models.contract.config import Architecture, CodeSpace, SequenceConfig
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import BEHAVIOUR, TEXT
from models.nets.sequence import SequenceModel
from models.nets.words import ItemWords
from training.config import FitConfig
from training.data.histories import Histories
from training.fit.fit_sequence import new_model

SPACE = CodeSpace(modalities=(TEXT, BEHAVIOUR), levels=4, codebook_size=256, vector_size=64)
VOCABULARY, WORDS = 5000, 10  # of the catalogue, of an item


def semantic_ids(items: int) -> SemanticIdTable:
    """Codes of every item."""
    random = np.random.default_rng(0)
    codes_NS = random.integers(0, SPACE.codebook_size, (items, SPACE.slots)).astype(np.uint16)
    return SemanticIdTable(SPACE, codes_NS, (np.arange(items) % 60_000).astype(np.uint16))


def sequence_model(config: FitConfig, table: SemanticIdTable, seen: Histories) -> SequenceModel:
    """A fresh model of the drawn catalogue."""
    architecture = SequenceConfig(
        code_space=SPACE,
        catalogue_size=len(table),
        reweighting="additive" if config.reweighting else "off",
        **config.model_dump(include=set(Architecture.model_fields)),
    )
    words = np.random.default_rng(1).integers(0, VOCABULARY, len(table) * WORDS).astype(np.int32)
    item_words = ItemWords(np.arange(len(table) + 1) * WORDS, words, VOCABULARY)
    codewords_MLKQ = torch.randn(1, SPACE.levels, SPACE.codebook_size, SPACE.vector_size)
    return new_model(architecture, table, codewords_MLKQ, item_words, seen)
