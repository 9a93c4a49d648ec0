"""What a report tells, as the stages left it; ``collect.py`` reads it, all else only looks."""

from typing import NamedTuple

from pydantic import ConfigDict, Field

from models.contract.config import CodeSpace, Frozen, Recommend
from training.data.dataset import DatasetCard
from training.evaluate.details import Example, MemoryGain, Slice
from training.evaluate.intervals import Estimate, Interval
from training.fit.calibrate import Exposure
from training.memory.memory import Recipe

Figures = dict[str, dict[str, float]]
Intervals = dict[str, dict[str, Interval]]


class Left(Frozen):
    """A JSON file of a stage: what is not told here is not read."""

    model_config = ConfigDict(extra="ignore")


class NewItems(Left):
    """How items fare that training never saw."""

    new: int
    events: int
    taken: float
    models: Figures
    intervals: Intervals


class Evaluation(Left):
    """``evaluation.json``."""

    users: int
    left_out: int
    best_baseline: str
    loses_to_baseline: bool
    models: Figures
    intervals: Intervals
    gain: Estimate | None
    slices: tuple[Slice, ...]
    memory: MemoryGain | None
    examples: tuple[Example, ...]
    new_items: NewItems | None


class Fitted(Left):
    """``fitted.json``: what validation chose."""

    epochs: int
    validation_ndcg: float | None = Field(alias="validation_ndcg@10")
    borrowing: float
    memory: Recipe
    exposure: Exposure | None


class Cost(Left):
    """``stage.json``: what a stage took, and ran with. Earlier releases told the seconds alone."""

    seconds: float
    peak_bytes: int | None = None
    cpus: int | None = None
    settings: dict[str, object] = Field({})
    versions: dict[str, str] = Field({})


class Content(Left):
    """``encode.json``: how many items have a modality, and of how many it cannot be read."""

    encoder: str = "ready vectors"
    present: int
    corrupt: int = 0


class Reject(NamedTuple):
    """Rows that could not be used, and where one of them is."""

    source: str
    reason: str
    rows: int
    where: str | None  # "clicks.csv, line 7"


class Histogram(NamedTuple):
    """Counts between edges, of which there is one more."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Lengths(NamedTuple):
    """How many interactions users have."""

    least: int
    median: int
    ninth: int  # nine of ten have no more
    most: int
    histogram: Histogram


class Curve(NamedTuple):
    """One figure by epoch, which starts at 1."""

    name: str
    points: tuple[tuple[int, float], ...]


class Pair(NamedTuple):
    """What a similarity of two modalities does to attention, by bucket, the least similar first."""

    first: str
    second: str
    cosines: tuple[float, ...]  # the highest of each bucket
    factors: tuple[float, ...]  # beside the usual


class Group(NamedTuple):
    """Items of the map that share their first code."""

    code: int
    items: int
    titles: tuple[str, ...]  # of the most used
    points: tuple[tuple[float, float], ...]


class Map(NamedTuple):
    """Items in two dimensions, each between 0 and 1; the commonest first codes apart."""

    modality: str  # whose first code it is
    groups: tuple[Group, ...]
    others: tuple[tuple[float, float], ...]
    labels: tuple[tuple[float, float, str], ...]  # the most used items
    items: int  # of the catalogue, of which so many as there are points are drawn
    variance: float  # share of the vectors' that two dimensions hold
    explained: float  # share of the places that first codes tell
    chance: float  # what codes dealt out at random would tell


class Shown(NamedTuple):
    """An item of an example."""

    title: str
    hit: bool = False


class Story(NamedTuple):
    """One user of the test part, with titles."""

    history: tuple[Shown, ...]
    length: int
    came: str
    best: tuple[Shown, ...]
    rank: int


class Chosen(NamedTuple):
    """A setting as it was, in TOML."""

    name: str
    value: str
    default: str
    meaning: str
    changed: bool


class Facts(NamedTuple):
    """All of them."""

    name: str
    created_at: str
    recommend: Recommend
    refit: bool
    learn_test: bool  # by refit
    card: DatasetCard
    over_time: Histogram | None  # interactions, from the first to the last, unix s
    lengths: Lengths
    rejects: tuple[Reject, ...]
    content: dict[str, Content]
    curves: dict[str, tuple[Curve, ...]]  # by stage
    fitted: Fitted
    evaluation: Evaluation
    stories: tuple[Story, ...]
    space: CodeSpace
    health: dict[str, float]
    pairs: tuple[Pair, ...]
    map: Map
    settings: tuple[Chosen, ...]
    costs: dict[str, Cost]
