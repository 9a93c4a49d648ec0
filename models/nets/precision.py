"""What stays float32 where training multiplies in bfloat16."""

from contextlib import AbstractContextManager, nullcontext

import torch


def in_float32(device: torch.device) -> AbstractContextManager[object]:
    """A region of its own under autocast, and nothing at all elsewhere: graphs are exported so."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
