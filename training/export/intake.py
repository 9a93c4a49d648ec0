"""What a bundle needs to take an item in: encoders, quantizer, words and whom to borrow from.

``service/catalogue/bundle_intake.py`` reads it.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import marisa_trie
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models.contract.intake import ContentColumns, IntakeCard, ModalityCard
from models.contract.manifest import FILES
from models.contract.types import IMAGE, FloatArray, Modality
from models.nets.content_codes import ContentCodes, Standard
from models.nets.quantizer import Quantizer
from models.nets.words import ItemWords
from training.data.histories import Histories
from training.encoders import wordllama
from training.encoders.efficientnet import EfficientNetEncoder
from training.encoders.embeddings import ItemEmbeddings
from training.export.graph import BATCH, Border, write_graph
from training.fit.borrowing import NEIGHBOURS, lenders_index, lenders_of
from training.memory.likeness import for_new_items
from training.quantize.views import standard

_TEXT_ENCODER = "wordllama-"  # the one whose vectors are means, and whose tables a bundle can hold


class IntakeParts(NamedTuple):
    """What training left of it."""

    columns: ContentColumns
    embeddings: Mapping[Modality, ItemEmbeddings]
    encoders: Mapping[Modality, str]  # names
    quantizer: Quantizer
    vocabulary: Sequence[str]
    words: Mapping[str, FloatArray]  # scored (V, D) and read (V, W): what each adds
    item_words: ItemWords
    likeness: tuple[float, float] | None  # its worth in the memory, and a new item's share of that
    content_ND: FloatArray  # of all modalities, as borrowing compares them
    histories: Histories  # that the model learned from
    borrowing: float | None  # a share; None where nothing borrows
    calibration: tuple[FloatArray, FloatArray]  # (D,) each: times and plus, of what is scored


@torch.no_grad()
def write_intake(directory: Path, parts: IntakeParts) -> None:
    """Write the files of a bundle's intake."""
    arrays: dict[str, NDArray[Any]] = {}
    tokens = parts.encoders.get("text", "").startswith(_TEXT_ENCODER)
    if tokens:
        arrays["tokens"] = wordllama.token_vectors()
        shutil.copyfile(wordllama.tokenizer_path(), directory / FILES.INTAKE_TOKENIZER)
    if parts.embeddings:
        _write_codes(parts, directory / FILES.INTAKE_CODES)
    pictures = parts.encoders.get(IMAGE) == EfficientNetEncoder.name
    if pictures:
        graph, example = EfficientNetEncoder().graph()
        border = Border(["pixels"], ["vectors"], ({0: BATCH},))
        write_graph(graph, (example,), border, directory / FILES.INTAKE_PICTURES)
    arrays["scale"], arrays["offset"] = parts.calibration
    arrays |= _write_words(parts, directory / FILES.INTAKE_WORDS)
    lenders = lenders_of(parts.content_ND, parts.histories)
    lends = parts.borrowing is not None and len(lenders) > NEIGHBOURS
    if lends:
        arrays["lenders"] = lenders
        index = lenders_index(parts.content_ND, lenders)
        faiss.write_index(index, str(directory / FILES.INTAKE_LENDERS))
    save_file(arrays, directory / FILES.INTAKE_ARRAYS)
    card = IntakeCard(
        columns=parts.columns,
        modalities={
            modality: ModalityCard(size=found.vectors_ND.shape[1], encoder=parts.encoders[modality])
            for modality, found in parts.embeddings.items()
        },
        tokens=tokens,
        pictures=pictures,
        borrowing=parts.borrowing or 0.0,
        neighbours=NEIGHBOURS if lends else 0,
    )
    (directory / FILES.INTAKE).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _write_words(parts: IntakeParts, path: Path) -> dict[str, NDArray[Any]]:
    """The words' trie; vectors of words, and lists of who has them, in the order of its keys."""
    words = marisa_trie.Trie(parts.vocabulary)
    words.save(str(path))
    place = np.array([words[word] for word in parts.vocabulary], np.int64)
    arrays = {}
    for name, vectors in parts.words.items():
        arrays[f"words_{name}"] = np.zeros((len(place), vectors.shape[1]), np.float32)
        arrays[f"words_{name}"][place] = vectors[: len(place)]
    if parts.likeness is not None:
        arrays |= for_new_items(parts.item_words.renumbered(place), *parts.likeness).arrays()
    return arrays


def _write_codes(parts: IntakeParts, path: Path) -> None:
    """The graph from encoders' vectors to codes, a modality an input and an output."""
    standards: dict[Modality, Standard] = {
        modality: standard(found.vectors_ND, found.present_N)
        for modality, found in parts.embeddings.items()
    }
    example = tuple(torch.zeros(2, len(by.mean_X)) for by in standards.values())
    outputs = [f"{modality}_codes" for modality in standards]
    border = Border(list(standards), outputs, (tuple({0: BATCH} for _ in standards),))
    write_graph(ContentCodes(parts.quantizer, standards).eval(), example, border, path)
