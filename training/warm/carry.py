"""Codes and weights of a training before, in the rows of a data set of today."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor

from models.contract.semantic_id import SemanticIdTable, narrow
from models.contract.types import BEHAVIOUR, CodeArray, Modality
from models.nets.sequence import SequenceModel, item_tables
from models.nets.words import WordBag
from training import stage_files
from training.encoders.embeddings import ItemEmbeddings
from training.errors import UserError
from training.quantize.codes import assign_codes
from training.quantize.views import View
from training.warm.kept import CODES, Kept

Places = NDArray[np.int64]  # where each of today's was; -1: it is new


def places(today: pl.Series, before: pl.Series) -> Places:
    """(N,): rows of before."""
    known = pl.DataFrame({"name": before, "row": np.arange(len(before))})
    rows = pl.DataFrame({"name": today}).join(known, on="name", how="left", maintain_order="left")
    return rows["row"].fill_null(-1).to_numpy()


def carry_codes(
    kept: Kept, embeddings: dict[Modality, ItemEmbeddings], at_N: Places
) -> SemanticIdTable:
    """Items that had codes keep them; new ones get theirs from content alone, as items that are put
    into a service do, and an extra code where another has them. Raises UserError where other
    modalities are encoded than were.
    """
    space, size = kept.table.space, len(at_N)
    if {*space.modalities} != {*embeddings, BEHAVIOUR}:
        raise UserError("other modalities are encoded than codes were learned from")
    quantizer = kept.quantizer()
    last = quantizer.state_dict()[f"bound.{len(space.modalities) - 1}.0.weight"]
    nothing = View(torch.zeros(size, last.shape[1]), torch.zeros(size, dtype=torch.bool))
    views = {
        modality: View.standardise(found.vectors_ND, found.present_N)
        for modality, found in embeddings.items()
    } | {BEHAVIOUR: nothing}
    with torch.no_grad():
        codes_NS, _ = assign_codes(quantizer, views)
    old_N = at_N >= 0
    codes_NS[old_N] = kept.table.codes_NS[at_N[old_N]]
    extra_N = np.zeros(size, np.uint32)
    extra_N[old_N] = kept.table.extra_N[at_N[old_N]]
    _tell_apart(codes_NS, extra_N, kept, old_N)
    return SemanticIdTable(space, codes_NS, narrow(extra_N)).check()


def _tell_apart(
    codes_NS: CodeArray, extra_N: NDArray[np.uint32], kept: Kept, old_N: NDArray[np.bool_]
) -> None:
    """In place: the next extra code after those that were given with these codes."""
    last: Counter[bytes] = Counter()
    for codes_S, extra in zip(kept.table.codes_NS, kept.table.extra_N.tolist(), strict=True):
        last[codes_S.tobytes()] = max(last[codes_S.tobytes()], extra + 1)
    for item in np.flatnonzero(~old_N).tolist():
        key = codes_NS[item].tobytes()
        extra_N[item] = last[key]
        last[key] += 1


def write_codes(kept: Kept, table: SemanticIdTable, directory: Path) -> None:
    """As the stages that learn codes leave them; their health is that of when they were learned."""
    for name in CODES:
        shutil.copyfile(kept.folder / name, directory / name)
    save_file(table.arrays(), directory / stage_files.SEMANTIC_IDS)


@torch.no_grad()
def carry_weights(model: SequenceModel, kept: Kept, at_N: Places, word_at_V: Places) -> None:
    """Into a model that is ready to learn. What is new keeps what it was drawn with.

    Raises UserError where the model is another than it was.
    """
    bags = (name for name, module in model.named_modules() if isinstance(module, WordBag))
    rows = {f"{name}.embedding.weight": word_at_V for name in bags}
    items = np.append(at_N, len(kept.item_ids))  # and the row after all items
    rows |= dict.fromkeys(item_tables(model.config), items)
    for name, now in model.state_dict().items():
        before, at_R = kept.weights.get(name), rows.get(name)
        same = slice(None) if at_R is None else slice(1, None)  # of the shape
        if before is None or before.shape[same] != now.shape[same]:
            raise UserError(f"{name}: the model is another than it was: train from nothing once")
        if name == "seen":
            continue  # it says what this training will see
        if at_R is None:
            now.copy_(before)
        else:
            _carry_rows(now, before, at_R)


def _carry_rows(now: Tensor, before: Tensor, at_R: Places) -> None:
    old_R = np.flatnonzero(at_R >= 0)
    now[torch.from_numpy(old_R)] = before[torch.from_numpy(at_R[old_R])]
