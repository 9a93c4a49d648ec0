"""What is stored of events, and where."""

from pathlib import Path

from pydantic import BaseModel

from service.events.outcomes import Counting

NOT_INSTALLED = 3  # exit status where polars is missing


class Storing(BaseModel):
    """What to store, and where. log_url: of the Redis that keeps the log; None: it is in folder.

    every: seconds. keep: records that stay in the log. days: that files are kept; 0: for ever.
    counting: of outcomes in what leaves the log; None: they are not counted.
    """

    folder: Path
    log_url: str | None = None
    every: float = 60.0
    keep: int = 200_000
    days: int = 0
    counting: Counting | None = None
