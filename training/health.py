"""Health of the codes: whether the semantic IDs are worth learning from."""

import numpy as np
import torch
from torch.nn import functional as F

from models.quantizer import Quantizer
from models.semantic_id import Resolution
from models.types import CodeArray
from training.fit_quantizer import QuantizerModule


@torch.no_grad()
def code_health(module: QuantizerModule, resolution: Resolution) -> dict[str, float]:
    """Figures by name: use and perplexity a level, collisions, reconstruction, CLUB, variances."""
    items, figures = len(resolution.table), {}
    figures["collision_rate"] = resolution.collided / items
    figures["moved_rate"] = resolution.moved / items
    figures["extended_rate"] = resolution.extended / items
    figures |= _use(resolution.table.codes_NML, resolution.table.space.codebook_size)
    for modality, view in module.views.items():
        x_BX = view.vectors_NX[view.present_N]
        quantizer: Quantizer = module.quantizer
        specific_BQ, bound_BQ = quantizer.branches(modality, x_BX)
        decoded_BX = quantizer.decode(
            modality, specific_BQ, quantizer.codebook(bound_BQ).vectors_BQ
        )
        share = F.mse_loss(decoded_BX, x_BX) / x_BX.var(0, unbiased=False).mean()
        figures[f"{modality}/unexplained_variance"] = float(share)
        figures[f"{modality}/bound_variance"] = float(bound_BQ.var(0).mean())
        if modality in quantizer.clubs:
            figures[f"{modality}/specific_variance"] = float(specific_BQ.var(0).mean())
            club = quantizer.clubs[modality].bound(specific_BQ, bound_BQ)  # type: ignore[operator]
            figures[f"{modality}/club_bound"] = float(club)
    return figures


def _use(codes_NML: CodeArray, codebook_size: int) -> dict[str, float]:
    """Share of codes used and perplexity of each level, over all modalities: they share it."""
    figures = {}
    for level in range(codes_NML.shape[2]):
        codes = codes_NML[:, :, level].ravel()
        counts = np.bincount(codes[codes < codebook_size], minlength=codebook_size)
        share = counts[counts > 0] / max(counts.sum(), 1)
        figures[f"level_{level + 1}/used"] = float((counts > 0).mean())
        figures[f"level_{level + 1}/perplexity"] = float(np.exp(-(share * np.log(share)).sum()))
    return figures
