"""The whole file: its sections, and what they demand of each other."""

import re
from pathlib import Path
from pkgutil import resolve_name
from typing import Self

from pydantic import Field, field_validator, model_validator

from models.contract.config import Recommend
from training.config.content import EncodeConfig
from training.config.data import FilterConfig, InteractionsConfig, ItemsConfig, SplitConfig
from training.config.learning import FitConfig, QuantizeConfig, ResearchConfig
from training.config.results import EvaluateConfig, ExportConfig
from training.config.section import Section


class RunConfig(Section):
    """One run: from a log to a bundle. Paths are relative to the TOML file's folder."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$", description="of the model, as the service tells it"
    )
    output: Path = Field(description="folder that every stage writes into")
    recommend: Recommend = Field(
        "new",
        description="new: nothing that is in a history; all: that too, and buying again is learned",
    )
    seed: int = Field(42, ge=0, lt=2**32, description="of all that is drawn")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: all")
    loggers: tuple[str, ...] = Field(
        ("csv", "tensorboard"),
        description="training curves: csv, tensorboard, or the dotted name of a Lightning logger",
    )
    interactions: InteractionsConfig
    events: dict[str, float] = Field(
        {},
        description="what each type of interaction weighs in training: purchase = 4, view = 1; 0 "
        "or less, as dislike = -1: what they had of that item is not learned; types not named are "
        "left out; none named: all are alike",
    )
    items: ItemsConfig | None = None
    filter: FilterConfig = FilterConfig()
    split: SplitConfig = SplitConfig()
    encode: EncodeConfig = EncodeConfig()
    quantize: QuantizeConfig = QuantizeConfig()
    fit: FitConfig = FitConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    export: ExportConfig = ExportConfig()
    research: ResearchConfig = ResearchConfig()

    @field_validator("loggers")
    @classmethod
    def _can_be_found(cls, loggers: tuple[str, ...]) -> tuple[str, ...]:
        for name in loggers:
            if name in ("csv", "tensorboard"):
                continue
            if not re.fullmatch(r"\w+(\.\w+)+", name):
                raise ValueError(f"{name!r} is neither csv nor tensorboard nor a dotted name")
            try:
                resolve_name(name)
            except (ImportError, AttributeError) as error:
                raise ValueError(f"{name!r} cannot be found: {error}") from error
        return loggers

    @model_validator(mode="after")
    def _masked_items_are_filtered(self) -> Self:
        if self.fit.mask_seen and not self.filter_seen:
            raise ValueError("fit.mask_seen needs recommend = 'new': nothing else hides them")
        return self

    @model_validator(mode="after")
    def _something_lists(self) -> Self:
        if self.filter.listed and self.items is None:
            raise ValueError("filter.listed needs [items]: the file that lists them")
        return self

    @model_validator(mode="after")
    def _types_weigh(self) -> Self:
        if self.interactions.stored is not None and not self.events:
            raise ValueError("interactions.stored needs [events]: what each type of them weighs")
        of_all = self.interactions.type
        if of_all is not None and of_all not in self.events:
            raise ValueError(f"interactions.type: {of_all!r} is not named in [events]")
        return self

    @property
    def filter_seen(self) -> bool:
        """Whether what is in a history is never ranked, nor learned as what comes next."""
        return self.recommend == "new"
