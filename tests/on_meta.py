"""What would be refused, or wait, on a GPU: seen on tensors of the device `meta`, which have no
numbers, so that whatever asks for some fails. `.to("meta")` stands for the way to a GPU.
"""

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
# Their results' shapes are in the numbers, or they are: the host has to wait for them.
_WAITING = {
    "aten::_local_scalar_dense", "aten::_unique2", "aten::bincount", "aten::equal",
    "aten::is_nonzero", "aten::masked_select", "aten::nonzero", "aten::repeat_interleave",
    "aten::unique_consecutive", "aten::unique_dim",
}  # fmt: skip


class Waited(Exception):  # noqa: N818 # what would have happened
    """The host would have waited for the device, or sent it something."""


class OnDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """All within goes on without the host, as far as can be seen: a tensor that is made there of
    Python's own numbers cannot. most: bytes that were worked in, beyond ``given``.
    """

    def __init__(self, given: Sequence[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = 0
        self._there = {_key(tensor) for tensor in given}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Each operation of torch's, at its lowest."""
        name = func.name().partition(".")[0]
        if name in _WAITING and "output_size" not in (kwargs or {}):
            raise Waited(f"{func} asks the device")
        asked = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
        made = func(*args, **(kwargs or {}))
        given = [part for part in tree_leaves(made) if isinstance(part, Tensor)]
        devices = {part.device.type for part in [*asked, *given] if part.dim() > 0}
        if len(devices) > 1:
            raise Waited(f"{func} is on {devices}")
        for part in given:
            self._note(part)
        return made

    def _note(self, made: Tensor) -> None:
        key, size = _key(made), made.untyped_storage().nbytes()
        if key not in self._there:
            self._there.add(key)
            self._now += size
            self.most = max(self.most, self._now)
            weakref.finalize(made.untyped_storage(), self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._there.discard(key)
        self._now -= size


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
