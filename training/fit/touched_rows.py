"""Tables with a row an item, learned at the cost of the rows that a step touches.

A step of a million items touches some ten thousand. AdamW would still read and write every row, its
moments and its moving average: a row without a gradient goes on by what its momentum has left, and
its average follows. Both are made up for here when a row is next needed, in closed form, so that
what is learned is AdamW's but for rounding, and the average is behind by what momentum and weight
decay moved meanwhile. Shapes: rows R of a table of N, of width W.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.hooks import RemovableHandle

from models.nets.sequence import SequenceModel, item_tables
from training.fit.moving_average import kept, log_kept

_FAR = 100  # steps in which momentum is spent: 0.9 to the hundredth is nothing
_PART = 10_000  # rows at a time: each with as many numbers as momentum reaches back
_NOTHING = 1e-30


def item_embeddings(model: SequenceModel) -> list[nn.Embedding]:
    """Its tables with a row an item."""
    names = item_tables(model.config)
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and f"{name}.weight" in names
    ]


class TouchedRows:
    """One table, its moments, its moving average, and until which step each row has come."""

    def __init__(self, weight_NW: Tensor, averaged_NW: Tensor, averaging: float) -> None:
        self.weight_NW, self.averaged_NW = weight_NW, averaged_NW
        self.averaging = max(averaging, _NOTHING)
        self.moment_NW = torch.zeros_like(weight_NW)
        self.square_NW = torch.zeros_like(weight_NW)
        self.at_N = torch.zeros(len(weight_NW), dtype=torch.int32, device=weight_NW.device)
        self.now = 0  # steps that were made

    @torch.no_grad()
    def catch_up(self, rows: Tensor, group: dict[str, Any]) -> None:
        """Apply to rows the steps that they have missed; ``rows``: any shape, repeats allowed."""
        rows_R: Tensor = torch.unique(rows)
        rows_R = rows_R[self.at_N[rows_R] < self.now]
        for part_R in torch.split(rows_R, _PART):
            self._catch_up(part_R, group)

    @torch.no_grad()
    def step(self, rows_R: Tensor, gradient_RW: Tensor, group: dict[str, Any]) -> None:
        """One step of AdamW (Loshchilov and Hutter 2019, algorithm 2) in rows that differ.

        The first step is the average's beginning, as MovingAverage has it.
        """
        self.catch_up(rows_R, group)
        self.now += 1
        (beta1, beta2), rate = group["betas"], group["lr"]
        moment_RW = self.moment_NW[rows_R].lerp_(gradient_RW, 1 - beta1)
        square_RW = self.square_NW[rows_R].mul_(beta2)
        square_RW.addcmul_(gradient_RW, gradient_RW, value=1 - beta2)
        self.moment_NW[rows_R], self.square_NW[rows_R] = moment_RW, square_RW
        size_RW = square_RW.sqrt_().div_(math.sqrt(1 - beta2**self.now)).add_(group["eps"])
        weight_RW = self.weight_NW[rows_R].mul_(1 - rate * group["weight_decay"])
        weight_RW.addcdiv_(moment_RW, size_RW, value=-rate / (1 - beta1**self.now))
        self.weight_NW[rows_R] = weight_RW
        share = 1.0 if self.now == 1 else 1 - kept(self.averaging, self.now)
        self.averaged_NW[rows_R] = self.averaged_NW[rows_R].lerp_(weight_RW, share)
        self.at_N[rows_R] = self.now

    def _catch_up(self, rows_R: Tensor, group: dict[str, Any]) -> None:
        at_U, of_R = torch.unique(self.at_N[rows_R], return_inverse=True)
        moves = (each_U[of_R, None].float() for each_U in self._missed(at_U.double(), group))
        moved_R1, decayed_R1, faded_R1, shrunk_R1, kept_R1 = moves
        moment_RW, square_RW = self.moment_NW[rows_R], self.square_NW[rows_R]
        weight_RW = self.weight_NW[rows_R].mul_(decayed_R1)
        size_RW = square_RW.sqrt().add_(group["eps"])
        weight_RW.addcdiv_(moved_R1 * moment_RW, size_RW, value=-group["lr"])
        self.weight_NW[rows_R] = weight_RW
        self.moment_NW[rows_R] = moment_RW.mul_(faded_R1)
        self.square_NW[rows_R] = square_RW.mul_(shrunk_R1)
        averaged_RW = self.averaged_NW[rows_R]
        self.averaged_NW[rows_R] = weight_RW + (averaged_RW - weight_RW) * kept_R1
        self.at_N[rows_R] = self.now

    def _missed(self, at_U: Tensor, group: dict[str, Any]) -> tuple[Tensor, ...]:
        """What the steps since ``at_U`` did to rows, (U,) each; many rows share few such steps.

        How often a row's moment has moved it, then the share that is left of its weight, its first
        and second moment, and its distance from the average.
        """
        (beta1, beta2), rate = group["betas"], group["lr"]
        missed_U, later_F = self.now - at_U, torch.arange(1, _FAR + 1, device=at_U.device)
        step_UF = at_U[:, None] + later_F
        moved_UF = (beta1 / math.sqrt(beta2)) ** later_F * (later_F <= missed_U[:, None])
        moved_UF = moved_UF * (1 - beta2**step_UF).sqrt() / (1 - beta1**step_UF)
        now_U = torch.full_like(at_U, self.now)
        kept_U = (log_kept(self.averaging, now_U) - log_kept(self.averaging, at_U)).exp()
        decayed_U = (1 - rate * group["weight_decay"]) ** missed_U
        return moved_UF.sum(1), decayed_U, beta1**missed_U, beta2**missed_U, kept_U


class RowwiseAdamW(AdamW):
    """AdamW, by row for ``tables``, whose gradients are sparse."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        tables: dict[Tensor, TouchedRows],
        learning_rate: float,
        weight_decay: float,
        *,
        fused: bool = False,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay=weight_decay, fused=fused)
        self.tables = tables
        self._hooks: list[RemovableHandle] = []

    def catch_up_before(self, embeddings: Iterable[nn.Embedding]) -> None:
        """Rows are up to date whenever one of these, whose weights are the tables, is read."""
        self._hooks += [each.register_forward_pre_hook(self._catch_up) for each in embeddings]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all."""
        loss = None if closure is None else closure()
        group = self.param_groups[0]
        for weight, table in self.tables.items():
            gradient = weight.grad
            if gradient is None:
                rows_R = table.at_N.new_zeros(0, dtype=torch.long)
                table.step(rows_R, weight.new_zeros(0, weight.shape[1]), group)
            else:
                gradient = gradient.coalesce()
                table.step(gradient.indices()[0], gradient.values(), group)
            weight.grad = None
        super().step()
        return loss

    def catch_up(self, weight: Tensor, rows: Tensor) -> None:
        """Bring these rows of a table up to date, before they are read."""
        self.tables[weight].catch_up(rows, self.param_groups[0])

    def free(self) -> None:
        """After training: free the moments, though others still hold this optimiser."""
        for hook in self._hooks:
            hook.remove()
        self.tables.clear()

    def _catch_up(self, embedding: nn.Module, asked: tuple[Tensor, ...]) -> None:
        assert isinstance(embedding, nn.Embedding)
        self.catch_up(embedding.weight, asked[0])

    def catch_up_all(self) -> None:
        """Bring all rows up to date, before they are read."""
        for table in self.tables.values():
            everything = torch.arange(len(table.at_N), device=table.at_N.device)
            table.catch_up(everything, self.param_groups[0])

    def state_dict(self) -> dict[str, Any]:
        """With the tables' moments; all rows must be up to date."""
        found = super().state_dict()
        found["tables"] = [
            {"now": t.now, "moment": t.moment_NW, "square": t.square_NW}
            for t in self.tables.values()
        ]
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What ``state_dict`` gave."""
        own = dict(state_dict)
        for table, state in zip(self.tables.values(), own.pop("tables"), strict=True):
            table.now = state["now"]
            table.moment_NW.copy_(state["moment"])
            table.square_NW.copy_(state["square"])
            table.at_N.fill_(table.now)
        super().load_state_dict(own)


@torch.no_grad()
def clip(parameters: Iterable[nn.Parameter], most: float) -> None:
    """Gradients, sparse ones among them, to a norm of ``most`` together."""
    values = []
    for each in parameters:
        if each.grad is not None:
            if each.grad.is_sparse:
                each.grad = each.grad.coalesce()
            values.append(each.grad.values() if each.grad.is_sparse else each.grad)
    norm = torch.stack([value.norm() for value in values]).norm()
    torch._foreach_mul_(values, (most / (norm + 1e-6)).clamp(max=1.0))
