"""What the engine is meant to reach, and whether the rows say that it does."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.serving import encoder, end_to_end, retrieval, start
from benchmarks.serving.rows import Row
from benchmarks.serving.servers import COMMANDS, OURS

_EAGER, _ONNX, _LITSERVE = tuple(COMMANDS)[1:]
_AT = f"{end_to_end.HEADLINE:.0%} of saturation"


class Goal(NamedTuple):
    """One goal; None where the rows to judge it by are missing."""

    text: str
    measured: float | None
    met: bool | None


def judged(rows: Sequence[Row]) -> list[Goal]:
    """Every goal, in the order of the issue that set them."""

    def of_encoder(variant: str) -> float | None:
        return _value(rows, encoder.WHAT, variant, "d=128, 2 blocks, L=50 B=1", "ms")

    def of_service(variant: str) -> float | None:
        return _value(rows, end_to_end.WHAT, variant, "saturation", "requests/s")

    def of_index(items: int, unit: str) -> float | None:
        size = f"{items:,} items" + (" B=1" if unit == "ms" else "")
        return _value(rows, retrieval.WHAT, "bbqrec compressed", size, unit)

    def of_start(items: int) -> float | None:
        case = f"{items:,} items, verify=start"
        return _value(rows, start.WHAT, "one worker", case, "s to ready")

    def of_worker(items: int) -> float | None:
        return _value(rows, start.WHAT, "each further worker", f"{items:,} items", "MB private")

    runtimes = [t for name in ("onnx fp32", "onnx int8") if (t := of_encoder(name)) is not None]
    fastest = min(runtimes, default=None)
    p99 = _value(rows, end_to_end.WHAT, OURS, _AT, "ms p99")
    over = _value(rows, end_to_end.WHAT, OURS, _AT, end_to_end.OVER)
    ours, million, ten = of_service(OURS), 1_000_000, 10_000_000
    return [
        _below(
            "encoder, d=128, 2 blocks, L=50, B=1: times the arithmetic floor, at most 3",
            _over(fastest, of_encoder(encoder.FLOOR)),
            3,
        ),
        _above("end to end: requests/s, at least 1,000", ours, 1000),
        _below(f"end to end: p99 at {_AT}, ms, at most 10", p99, 10),
        _below("end to end: CPU µs a request over the bare engine, at most 200", over, 200),
        _above("end to end: times (a), at least 6", _over(ours, of_service(_EAGER)), 6),
        _above("end to end: times (b), at least 2", _over(ours, of_service(_ONNX)), 2),
        _above("end to end: times (c), at least 2", _over(ours, of_service(_LITSERVE)), 2),
        _below("1M items: ms a query, at most 3", of_index(million, "ms"), 3),
        _above("1M items: recall@100, at least 0.99", of_index(million, "recall@100"), 0.99),
        _below("1M items: bytes an item, at most 24", of_index(million, "bytes/item"), 24),
        _below("10M items: ms a query, at most 15", of_index(ten, "ms"), 15),
        _above("10M items: recall@100, at least 0.99", of_index(ten, "recall@100"), 0.99),
        _below(
            "10M items: GB that are scanned, at most 1.5",
            None if (size := of_index(ten, "bytes/item")) is None else size * ten / 1e9,
            1.5,
        ),
        _below("1M items: s from start to ready, at most 3", of_start(million), 3),
        _below("10M items: s from start to ready, at most 20", of_start(ten), 20),
        _below("1M items: private MB of each further worker, at most 100", of_worker(million), 100),
        _below("10M items: private MB of each further worker, at most 600", of_worker(ten), 600),
    ]


def _value(rows: Sequence[Row], what: str, variant: str, size: str, unit: str) -> float | None:
    for row in rows:
        if row[:3] == (what, variant, size) and row.unit == unit:
            return row.value
    return None


def _below(text: str, found: float | None, most: float) -> Goal:
    return Goal(text, found, None if found is None else found <= most)


def _above(text: str, found: float | None, least: float) -> Goal:
    return Goal(text, found, None if found is None else found >= least)


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other
