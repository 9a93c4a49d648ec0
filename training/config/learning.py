"""What is learned: the quantizer, the sequence model, and what ablations take apart."""

from typing import Annotated, Literal

from pydantic import Field

from models.contract.config import Architecture, CodeShape, Variants
from training.config.section import Accelerator, Section, Share


class QuantizeConfig(Section, CodeShape):
    """``[quantize]``: the quantizer (``docs/method.md`` section 2)."""

    hidden_size: int = Field(256, ge=4, le=65_536, description="hidden units of its networks")
    behaviour_size: int = Field(64, ge=2, le=4096, description="size of behaviour vectors")
    epochs: int = Field(60, ge=1, description="passes over the items")
    batch_size: int = Field(512, ge=2, description="items of a step")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam")
    commitment: float = Field(0.25, ge=0, description="weight that holds vectors to their codes")
    mutual_information: float = Field(0.01, ge=0, description="weight of CLUB")
    contrast: float = Field(0.1, ge=0, description="weight of the contrastive codebook loss")
    sequence_contrast: float = Field(0.1, ge=0, description="weight of sequence-to-item contrast")
    temperature: float = Field(0.1, gt=0, description="of both contrasts")
    accelerator: Accelerator = Field("cpu", description="what trains")


class FitConfig(Section, Architecture):
    """``[fit]``: the reweighted sequence model and its training."""

    reweighting: bool = Field(
        True, description="attention is reweighted by how similar items' codes are"
    )
    id_dropout: float = Field(0.1, ge=0, lt=1, description="share of items whose z_ID is hidden")
    negatives: int = Field(
        1024, ge=0, description="shared, for sampled softmax; 0 or no fewer than items: all items"
    )
    mask_seen: bool = Field(
        False, description="what a user already had is no negative, as it is never recommended"
    )
    epochs: int = Field(100, ge=1, description="passes over the histories, at most")
    patience: int = Field(10, ge=1, description="epochs without a better validation NDCG@10")
    batch_tokens: int = Field(8192, ge=1, description="real positions a batch, about")
    learning_rate: float = Field(1e-3, gt=0, description="of AdamW")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    rows_from: int = Field(
        100_000,
        ge=0,
        description="items; of a larger catalogue a step updates the rows alone that it touches",
    )
    averaging: float = Field(
        0.998, ge=0, lt=1, description="what a step keeps of the moving average of weights; 0 = off"
    )
    borrowing: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        description="shares that rare and new items may take of those they resemble: the best on "
        "validation is taken; [0.0]: none, nor what words foretell of new ones",
    )
    memory: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = Field(
        (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0),
        description="weights that what was counted may have beside what is learned: the best on "
        "validation is taken; [0.0]: nothing is counted",
    )
    memory_items: int = Field(
        200, ge=1, le=10_000, description="at most so many followers of an item are remembered"
    )
    new_items_cost: Share = Field(
        0.02,
        description="share of NDCG@10 on known items that it may cost to show new ones as often as "
        "users take them",
    )
    accelerator: Accelerator = Field("cpu", description="what trains")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true", description="float32, or bfloat16 where that is safe: faster, if the chip can"
    )
    compile: bool = Field(
        False, description="torch.compile what a step computes: fewer launches, minutes to begin"
    )
    refit: bool = Field(True, description="export a model trained on everything, as one goes live")
    learn_test: bool = Field(
        True,
        description="refit learns the test part, too; false: what goes live can be judged by it",
    )


class ResearchConfig(Section, Variants):
    """``[research]``: what ablations take apart. No user needs it; nothing here pays."""

    reweighting: Literal["additive", "multiplicative"] = Field(
        "additive",
        description="similarity is added to attention, or scales it; fit.reweighting = false: "
        "neither",
    )
    shared_codebook: bool = Field(True, description="one for all modalities, or one each")
    id_residual: bool = Field(True, description="z_ID in the item vectors of sequence contrast")
    diversity: float = Field(0.0, ge=0, description="weight of even use of the codes")
    likeness: bool = Field(True, description="the memory knows who is described alike, too")
