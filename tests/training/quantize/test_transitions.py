"""Steps that sequence-to-item contrast draws: what comes next, and what was before it."""

import torch

from tests.training.small import all_learned
from training.quantize.transitions import Transitions


def test_a_step_looks_back_on_the_items_before_it_oldest_first() -> None:
    """Of the same history, five at most; what begins a history comes after nothing."""
    steps = Transitions.of(all_learned([[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11]]))
    contexts_BT, next_B = steps.take(torch.arange(len(steps)))
    assert dict(zip(next_B.tolist(), contexts_BT.tolist(), strict=True)) == {
        2: [-1, -1, -1, -1, 1],
        3: [-1, -1, -1, 1, 2],
        6: [-1, -1, -1, -1, 5],
        7: [-1, -1, -1, 5, 6],
        8: [-1, -1, 5, 6, 7],
        9: [-1, 5, 6, 7, 8],
        10: [5, 6, 7, 8, 9],
        11: [6, 7, 8, 9, 10],
    }
