"""The model card: what a person should know before serving a bundle."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from training.export.int8 import WORST_COST, Int8
from training.export.onnx_ranker import TOP

_OFFERED = "`BBQREC_PROVIDER=cpu-int8` serves it."
_WITHHELD = f"Beyond {WORST_COST:.1%}, or with any that differ, the bundle does not hold it."


class Parity(NamedTuple):
    """How far ONNX Runtime and torch are apart."""

    histories: int
    worst_score: float  # largest difference of any score of any item
    same_top: int  # histories with the same top-10, in order


def model_card(fields: Mapping[str, Any], parity: Parity, int8: Int8, items: int) -> str:
    """What a person should know before serving the bundle."""
    metrics = "\n".join(f"| {k} | {v:.4f} |" for k, v in fields["metrics"].items())
    health = "\n".join(f"| {k} | {v:.4f} |" for k, v in fields["health"].items())
    split = "\n".join(f"- {key}: {value}" for key, value in fields["split"].items())
    return (
        f"# {fields['name']}\n\nA bbqrec bundle of {items} items.\n\n"
        f"## Test metrics\n\nFull ranking of the catalogue, by the model that was trained on the "
        f"training part only. The weights in this bundle are of the same settings{_refit(fields)}."
        f"\n\n| metric | value |\n|---|---|\n{metrics}\n\n## Split\n\n{split}\n\n"
        f"## Health of the semantic IDs\n\n| figure | value |\n|---|---|\n{health}\n\n"
        f"## Parity\n\nONNX Runtime against torch on {parity.histories} histories: worst score "
        f"difference {parity.worst_score:.2e}, same top-{TOP} on {parity.same_top}.\n\n"
        f"## INT8\n\nNDCG@10 of this bundle's weights on the histories of the test part"
        f"{_learned_too(fields)}: {int8.fp32:.4f}, with weights in INT8 {int8.int8:.4f} "
        f"({-int8.cost:+.2%}). In batches of mixed neighbours {int8.differing} of {int8.histories} "
        f"histories get another top-{TOP}, or another order, than alone. "
        f"{_OFFERED if int8.kept else _WITHHELD}\n"
    )


def _refit(fields: Mapping[str, Any]) -> str:
    if not fields["split"].get("refit"):
        return ""
    return ", trained again on everything" + (
        "" if fields["split"].get("learn_test", True) else " but the test part"
    )


def _learned_too(fields: Mapping[str, Any]) -> str:
    learned = fields["split"].get("refit") and fields["split"].get("learn_test", True)
    return " (which they have learned, so that only the difference counts)" if learned else ""
