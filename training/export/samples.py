"""Some users of the test part, for people to look at: what they had, and what they took next."""

from collections.abc import Sequence

from models.contract.samples import Sample, Samples
from training.data.histories import EvaluationSet

LATEST = 10  # steps that are shown of each


def draw_samples(held_out: EvaluationSet, item_ids: Sequence[str], most: int, seed: int) -> Samples:
    """Drawn by ``seed``; their latest steps, and nothing that says who they are."""
    chosen = held_out.sample(most, seed)
    ends = chosen.start + chosen.length
    starts = ends - chosen.length.clip(max=LATEST)
    return Samples(
        users=tuple(
            Sample(
                history=tuple(item_ids[row] for row in chosen.items[start:end]),
                took=item_ids[target],
            )
            for start, end, target in zip(starts, ends, chosen.target, strict=True)
        )
    )
