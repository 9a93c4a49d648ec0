"""What every table of the file is made of."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from models.contract.config import Frozen

Accelerator = Literal["auto", "cpu", "gpu"]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(Frozen):
    """A table of the file. TOML knows inf and nan; no setting does."""

    model_config = ConfigDict(allow_inf_nan=False)
