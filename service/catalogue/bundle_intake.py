"""A bundle's intake: what is said of an item -> a row, as training would have made it.

``training/export/intake.py`` writes what is read here. Tables are mapped; graph, tokenizer and
index are read when the first item comes.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import faiss
import marisa_trie
import numpy as np

from models.contract.bundle import FILES, Bundle
from models.contract.content_vectors import unit
from models.contract.intake import Content, IntakeCard, Taken
from models.contract.likeness import NOBODY, WordLikeness
from models.contract.mapped import load_mapped
from models.contract.types import CodeArray, FloatArray, Modality
from models.contract.words import words_of
from service.catalogue.content_vectors import Column, ContentVectors
from service.catalogue.opening import opening
from service.catalogue.picture_vectors import PictureVectors
from service.runtime import open_session

_AT_ONCE = 1024  # items


class BundleIntake:
    """Takes items in with the encoders, quantizer and vectors of one bundle; for one thread."""

    def __init__(self, bundle: Bundle) -> None:
        directory = bundle.directory
        self.bundle = bundle
        self.card = IntakeCard.model_validate_json((directory / FILES.INTAKE).read_bytes())
        self.arrays = load_mapped(directory / FILES.INTAKE_ARRAYS)
        tokens_VX = self.arrays["tokens"] if self.card.tokens else None
        graph = directory / FILES.INTAKE_PICTURES
        pictures = PictureVectors(graph) if self.card.pictures else None
        tokenizer = directory / FILES.INTAKE_TOKENIZER
        self.vectors = ContentVectors(self.card, tokenizer, tokens_VX, pictures)
        self.likeness = WordLikeness.from_arrays(self.arrays)
        self.words: Any = marisa_trie.Trie()
        self.words.mmap(str(directory / FILES.INTAKE_WORDS))

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        """A row each, in order; many at once cost less.

        Raises IntakeError for any at fault, IntakeAwayError where it has to be tried again.
        """
        parts = (contents[n : n + _AT_ONCE] for n in range(0, len(contents), _AT_ONCE))
        return [row for part in parts for row in self._take(part)]

    def _take(self, contents: Sequence[Content]) -> list[Taken]:
        columns, tables = self.vectors.of(contents), self.bundle.vectors
        codes_BS = self._codes(columns, len(contents))
        scored_BD = tables.code_SKD[np.arange(codes_BS.shape[1]), codes_BS].sum(axis=1)
        rows = [self._words(content) for content in contents]
        scored_BD += np.stack([self.arrays["words_scored"][of].sum(axis=0) for of in rows])
        read_BW = np.stack([self.arrays["words_read"][of].sum(axis=0) for of in rows])
        if self.card.neighbours:
            self._borrow(columns, scored_BD, read_BW)
        some = np.any([column.present_B for column in columns.values()], axis=0)
        some |= np.array([len(of) > 0 for of in rows])
        some &= scored_BD.any(axis=1)
        scored_BD[some] = scored_BD[some] * self.arrays["scale"] + self.arrays["offset"]
        alike = [self.likeness.nearest(of) if self.likeness else NOBODY for of in rows]
        return [Taken(*row) for row in zip(codes_BS, scored_BD, read_BW, alike, strict=True)]

    def _codes(self, columns: Mapping[Modality, Column], items: int) -> CodeArray:
        """(B, S); the null code where a modality is missing, as behaviour always is."""
        space = self.bundle.manifest.architecture.code_space
        shape = items, len(space.modalities), space.levels
        codes_BML = np.full(shape, space.null_code, np.uint16)
        if any(column.present_B.any() for column in columns.values()):
            vectors = {modality: column.vectors_BX for modality, column in columns.items()}
            made = self._graph.run(None, vectors)
            for (modality, column), codes_BL in zip(columns.items(), made, strict=True):
                at = column.present_B, space.modalities.index(modality)
                codes_BML[at] = codes_BL[column.present_B]
        return codes_BML.reshape(items, -1)

    def _words(self, content: Content) -> list[int]:
        """Rows of its words in the tables of their vectors."""
        given = {name: content.attributes.get(name) for name in self.card.columns.attributes}
        said = words_of(self.vectors.text(content), json.dumps(given))
        return [row for row in map(self.words.get, said) if row is not None]

    def _borrow(
        self, columns: Mapping[Modality, Column], scored_BD: FloatArray, read_BW: FloatArray
    ) -> None:
        """Add a share of the mean of those that an item with content resembles; whole, where
        nothing else tells of it.
        """
        units = [unit(column.vectors_BX) for column in columns.values()]
        content_BX = np.ascontiguousarray(np.concatenate(units, axis=1))
        share_B = np.where(scored_BD.any(axis=1), self.card.borrowing, 1.0).astype(np.float32)
        some = np.flatnonzero(content_BX.any(axis=1) & (share_B > 0))
        if len(some):
            _, place_BK = self._lenders.search(content_BX[some], self.card.neighbours)
            near_BK = self.arrays["lenders"][place_BK]
            tables, share_J1 = self.bundle.vectors, share_B[some, None]
            scored_BD[some] += share_J1 * tables.scored_ND[near_BK].mean(axis=1)
            read_BW[some] += share_J1 * tables.read_NW[near_BK].mean(axis=1)

    @cached_property
    def _lenders(self) -> Any:
        path = self.bundle.directory / FILES.INTAKE_LENDERS
        with opening(path):
            return faiss.read_index(str(path))

    @cached_property
    def _graph(self) -> Any:
        path = self.bundle.directory / FILES.INTAKE_CODES
        with opening(path):
            return open_session(path, "cpu", 1)
