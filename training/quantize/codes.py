"""From items' vectors to their codes, by a trained quantizer, and to the SemanticIdTable."""

from collections.abc import Mapping

import numpy as np
import torch

from models.contract.config import CodeSpace
from models.contract.semantic_id import Resolution, resolve_collisions
from models.contract.types import CodeArray, FloatArray, Modality, in_order
from models.nets.quantizer import Quantizer
from training.config import QuantizeConfig
from training.quantize.views import View


@torch.no_grad()
def assign_codes(
    quantizer: Quantizer, views: Mapping[Modality, View]
) -> tuple[CodeArray, FloatArray]:
    """Codes (N, S), null where a modality is missing, and last residuals (N, M, Q)."""
    space = quantizer.space
    items = len(next(iter(views.values())).present_N)
    shape = (items, len(space.modalities), space.levels)
    codes_NML = torch.full(shape, space.null_code, dtype=torch.int64)
    residual_NMQ = torch.zeros(items, len(space.modalities), space.vector_size)
    for m, modality in enumerate(space.modalities):
        view = views[modality]
        bound_BQ = quantizer.branches(modality, view.vectors_NX[view.present_N]).bound_BQ
        result = quantizer.codebook(modality)(bound_BQ)
        codes_NML[view.present_N, m] = result.codes_BL
        residual_NMQ[view.present_N, m] = result.residual_BQ
    codes_NS = codes_NML.flatten(1).numpy().astype(np.uint16)
    return codes_NS, residual_NMQ.numpy()


def build_table(quantizer: Quantizer, views: Mapping[Modality, View]) -> Resolution:
    """The SemanticIdTable of all items, unique."""
    codes_NS, residual_NMQ = assign_codes(quantizer, views)
    books = (quantizer.codebook(modality) for modality in quantizer.space.modalities)
    last_MKQ = torch.stack([book.codewords_LKQ[-1] for book in books]).detach().numpy()
    return resolve_collisions(quantizer.space, codes_NS, residual_NMQ, last_MKQ)


def code_space(views: Mapping[Modality, View], config: QuantizeConfig) -> CodeSpace:
    """The space for these views; fewer codes where there are fewer vectors than codes."""
    vectors = sum(int(view.present_N.sum()) for view in views.values())
    return CodeSpace(
        modalities=in_order(views),
        levels=config.levels,
        codebook_size=max(2, min(config.codebook_size, vectors)),
        vector_size=config.vector_size,
    )
