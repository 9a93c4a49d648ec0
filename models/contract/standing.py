"""Where a training stands: told in its output folder, for whoever waits for its first bundle."""

import os
import time
import uuid
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from models.contract.config import Frozen

STANDING = "training.json"


class Standing(Frozen):
    """``training.json``."""

    stage: str
    title: str = Field(description="what the stage makes of what")
    number: int = Field(ge=1, description="of the stage, from 1")
    of: int = Field(ge=1, description="stages")
    state: Literal["running", "done", "failed"] = "running"
    share: float | None = Field(None, ge=0, le=1, description="of the stage that is done, if known")
    message: str | None = Field(None, description="why it failed, where that can be said")
    began: float = Field(default_factory=time.time, description="of the stage, unix s")

    def write(self, output: Path) -> None:
        """Over what is there; a reader finds the old one or the new one. Raises OSError."""
        partial = output / f".{STANDING}-{os.getpid()}-{uuid.uuid4().hex}"
        try:
            partial.write_text(self.model_dump_json(), encoding="utf-8")
            partial.replace(output / STANDING)
        finally:
            partial.unlink(missing_ok=True)  # of a full disk

    @classmethod
    def read(cls, output: Path) -> "Standing | None":
        """What was written last; None where nothing is, or nothing that can be read."""
        try:
            return cls.model_validate_json((output / STANDING).read_bytes())
        except (OSError, ValidationError):
            return None
