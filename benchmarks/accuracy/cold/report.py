"""``python -m benchmarks.accuracy.cold.report``: tables and JSON of all that is finished."""


def write() -> None:
    """Write ``cold.md`` and ``cold.json``."""
