"""Some users of the test part, without a name: what they had, and what they took next."""

from pydantic import Field

from models.contract.config import Frozen


class Sample(Frozen):
    """One of them, by item ids."""

    history: tuple[str, ...] = Field(description="the latest last")
    took: str


class Samples(Frozen):
    """``samples.json``."""

    users: tuple[Sample, ...]
