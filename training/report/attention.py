"""What the learned bucket biases do to attention, from a bundle's weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from models.contract.bundle import FILES
from models.contract.config import CodeSpace
from models.contract.types import FloatArray
from models.nets.similarity import MISSING_BUCKET, modality_pairs
from training.config import RunConfig
from training.report.facts import Pair

_BUCKETS, _BIAS = "buckets.bucket_of", "attention.bucket_bias"


def pairs(config: RunConfig, space: CodeSpace, bundle: Path) -> tuple[Pair, ...]:
    """Of every pair of modalities; none where attention is not reweighted in the usual form."""
    usual = ("quantile", "additive")
    if (config.research.edges, config.research.reweighting) != usual:
        return ()
    weights = load_file(bundle / FILES.WEIGHTS)
    biases = [weight for name, weight in weights.items() if name.endswith(_BIAS)]
    if not biases or _BUCKETS not in weights:
        return ()
    bias_PK = np.mean([bias_PKH.mean(-1) for bias_PKH in biases], axis=0)
    return tuple(_pairs(space, weights[_BUCKETS], bias_PK))


def _pairs(space: CodeSpace, bucket_PR: FloatArray, bias_PK: FloatArray) -> Iterator[Pair]:
    """A bias u beside the logits of softmax is a factor exp(u): told beside the average one."""
    signed_R = (np.arange(bucket_PR.shape[1]) + 0.5) / (bucket_PR.shape[1] / 2) - 1
    cosine_R = np.sign(signed_R) * np.sqrt(np.abs(signed_R))  # cells are of signed squares
    for p, (first, second) in enumerate(modality_pairs(space)):
        filled = [k for k in np.unique(bucket_PR[p]).tolist() if k != MISSING_BUCKET]
        highest = [float(cosine_R[bucket_PR[p] == k].max()) for k in filled]
        factors = np.exp(bias_PK[p, filled] - bias_PK[p, filled].mean())
        names = space.modalities[first], space.modalities[second]
        yield Pair(*names, tuple(highest), tuple(factors.tolist()))
