"""Exact top-100 alone: by stages, by bound, beside reading every vector once."""

from collections.abc import Iterator

import torch

from benchmarks.gpu.rows import Row, Where, median
from service.engine.staged import Among, Items, best, best_in_full

_WIDTH, _K = 192, 100
_GOALS = {1: 1.6, 32: 2.2, 128: 5.0}  # ms over ten million items


def search(where: Where) -> Iterator[Row]:
    """Of drawn vectors; all may be found, or a hundredth of them."""
    device, speed = torch.device(where.device), _copy_speed(where)
    for size in (12_000,) if where.small else (12_000, 1_000_000, 10_000_000):
        items = Items.room(size, _WIDTH, device)
        items.put(0, torch.randn(size, _WIDTH, device=device))
        nobody = torch.empty((0, 2), dtype=torch.long, device=device)
        for masked in 0.0, 0.99:
            added_R = torch.zeros(len(items.scan_RD), dtype=torch.bfloat16, device=device)
            added_R[torch.rand(len(added_R), device=device) < masked] = -torch.inf
            added_R[size:] = -torch.inf
            for batch in (1, 32) if where.small else _GOALS:
                vectors_BD = torch.randn(batch, _WIDTH, device=device)
                asked = items, vectors_BD, Among(added_R, nobody), _K
                told = f"{size:,} items, {batch} queries" + (", 99% masked" if masked else "")
                took = median(lambda: best(*asked), where)  # noqa: B023
                goal = _GOALS.get(batch) if size == 10_000_000 else None
                yield Row("exact top-100", told, took, "ms", 1000 * 2 * size * _WIDTH / speed, goal)
                found, every = best(*asked), best_in_full(*asked)
                yield Row("queries scored in full", told, _share(~found.shown_B), "share")
                shown_B = found.shown_B[:, None]  # what is not is scored anew
                lost_BK = shown_B & ~torch.isin(found.rows_BK, every.rows_BK)
                yield Row("lost of float32's", told, _share(lost_BK), "share", goal=0.0)


def _copy_speed(where: Where) -> float:
    """Bytes a second that can be read."""
    source = torch.empty(2**24 if where.small else 2**30, dtype=torch.uint8, device=where.device)
    target = torch.empty_like(source)
    return 1000 * 2 * len(source) / median(lambda: target.copy_(source), where)


def _share(true: torch.Tensor) -> float:
    return float(true.float().mean())
