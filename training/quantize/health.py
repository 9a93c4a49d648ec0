"""Health of the codes: whether the semantic IDs are worth learning from."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.contract.semantic_id import Resolution
from models.contract.types import BEHAVIOUR, CodeArray, Modality
from models.nets.quantizer import Quantizer
from training.quantize.fit_quantizer import QuantizerModule

_NEIGHBOURS = 10
_QUERIES = 1000  # items whose neighbours are compared


@torch.no_grad()
def code_health(module: QuantizerModule, resolution: Resolution) -> dict[str, float]:
    """Figures by name: collisions, use and perplexity, reconstruction, CLUB, variances, agreement.

    ``level_n/...`` counts all modalities together, which is how a shared codebook is used.
    """
    table = resolution.table
    unique = len(np.unique(table.semantic_ids(), axis=0))
    figures = {
        "collision_rate": resolution.collided / len(table),
        "collision_rate_after": 1 - unique / len(table),
        "moved_rate": resolution.moved / len(table),
        "extended_rate": resolution.extended / len(table),
    }
    figures |= _use("", table.codes_NML, table.space.codebook_size)
    for m, modality in enumerate(table.space.modalities):
        own_N1L = table.codes_NML[:, m : m + 1]
        figures |= _use(f"{modality}/", own_N1L, table.space.codebook_size)
        figures |= _branches(module, modality)
        figures |= _agreement(module, modality)
    return figures


def _use(prefix: str, codes_NML: CodeArray, codebook_size: int) -> dict[str, float]:
    """Share of codes used and perplexity of each level."""
    figures = {}
    for level in range(codes_NML.shape[2]):
        codes = codes_NML[:, :, level].ravel()
        counts = np.bincount(codes[codes < codebook_size], minlength=codebook_size)
        share = counts[counts > 0] / max(counts.sum(), 1)
        name = f"{prefix}level_{level + 1}"
        figures[f"{name}/used"] = float((counts > 0).mean())
        figures[f"{name}/perplexity"] = float(np.exp(-(share * np.log(share)).sum()))
    return figures


def _branches(module: QuantizerModule, modality: Modality) -> dict[str, float]:
    """How well a modality is decoded, and whether a branch went constant to please CLUB."""
    quantizer: Quantizer = module.quantizer
    view = module.views[modality]
    x_BX = view.vectors_NX[view.present_N]
    if len(x_BX) < 2:  # nothing varies
        return {}
    specific_BQ, bound_BQ = quantizer.branches(modality, x_BX)
    quantized_BQ = quantizer.codebook(modality)(bound_BQ).vectors_BQ
    decoded_BX = quantizer.decode(modality, specific_BQ, quantized_BQ)
    figures = {f"{modality}/bound_variance": float(bound_BQ.var(0).mean())}
    if variance := x_BX.var(0, unbiased=False).mean():
        share = F.mse_loss(decoded_BX, x_BX) / variance
        figures[f"{modality}/unexplained_variance"] = float(share)
    if club := quantizer.club(modality):
        figures[f"{modality}/specific_variance"] = float(specific_BQ.var(0).mean())
        figures[f"{modality}/club_bound"] = float(club.bound(specific_BQ, bound_BQ))
    return figures


def _agreement(module: QuantizerModule, modality: Modality) -> dict[str, float]:
    """Share of an item's nearest items in code space that are its nearest in behaviour space."""
    view, behaviour = module.views[modality], module.views[BEHAVIOUR]
    both_J = (view.present_N & behaviour.present_N).nonzero().flatten()
    if len(both_J) <= _NEIGHBOURS:
        return {}
    bound_JQ = module.quantizer.branches(modality, view.vectors_NX[both_J]).bound_BQ
    code_JQ = module.quantizer.codebook(modality)(bound_JQ).vectors_BQ
    step = max(1, len(both_J) // _QUERIES)
    queries = torch.arange(0, len(both_J), step)
    ours_BK, theirs_BK = (
        _nearest_items(vectors, queries) for vectors in (code_JQ, behaviour.vectors_NX[both_J])
    )
    shared_BK = (ours_BK[:, :, None] == theirs_BK[:, None, :]).any(-1)
    return {f"{modality}/behaviour_agreement@{_NEIGHBOURS}": float(shared_BK.float().mean())}


def _nearest_items(vectors_JX: Tensor, queries_B: Tensor) -> Tensor:
    """Rows of the nearest other items by cosine, (B, _NEIGHBOURS)."""
    unit_JX = F.normalize(vectors_JX, dim=-1)
    found = []
    for rows_C in torch.split(queries_B, 100):
        cosine_CJ = unit_JX[rows_C] @ unit_JX.T
        cosine_CJ[torch.arange(len(rows_C)), rows_C] = -2
        found.append(cosine_CJ.topk(_NEIGHBOURS).indices)
    return torch.cat(found)
