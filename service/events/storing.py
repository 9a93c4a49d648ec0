"""What is stored of events, and where."""

from pathlib import Path

from pydantic import BaseModel

from service.events.outcomes import Counting

NOT_INSTALLED = 3  # exit status where polars is missing


class Storing(BaseModel):
    """What to store, and where. The log is in Kafka, else in the Redis of log_url, else in folder.

    every: seconds. keep: records that stay in the log, and as many before those of what people did.
    days: that files are kept; 0: for ever. most_bytes: of all files, beyond which the oldest days
    go; 0: any number. counting: of outcomes in what leaves the log; None: they are not counted.
    """

    folder: Path
    log_url: str | None = None
    kafka: str | None = None
    kafka_options: dict[str, str] = {}
    every: float = 60.0
    keep: int = 200_000
    days: int = 0
    most_bytes: int = 0
    counting: Counting | None = None


class Progress(BaseModel):
    """``.stored.json``: up to which position of the log all is in files.

    noted: digests of records that were stored, by position: the last of each file, of the latest.
    """

    position: int = 0
    noted: dict[int, str] = {}

    @staticmethod
    def file(folder: Path) -> Path:
        """Where it lies."""
        return folder / ".stored.json"

    @classmethod
    def read(cls, folder: Path) -> "Progress":
        """What was written last; nothing is stored where there is no such file."""
        try:
            return cls.model_validate_json(cls.file(folder).read_bytes())
        except FileNotFoundError:
            return cls()
