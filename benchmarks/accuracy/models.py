"""Every model of the table, as a difference from the data set's own configuration."""

from collections.abc import Mapping
from typing import Any

from training.config import FitConfig, RunConfig

Settings = Mapping[str, Any]  # dotted names in RunConfig

OURS = "bbqrec"
SIMILARITY, RANDOM_BUCKETS = "bbqrec-with-similarity", "bbqrec-with-random-buckets"
_ONE_TOWER = {"fit.towers": [["id"]], "fit.reweighting": False, "fit.borrowing": [0.0]}
_BACKBONE = _ONE_TOWER | {"fit.mask_seen": False, "fit.behaviour_weight": 1.0}

# Our implementation of the strongest published backbones, with none of our parts.
BACKBONES: dict[str, Settings] = {
    "sasrec-ss": _BACKBONE | {"research.block": "sasrec"},
    "esasrec": _BACKBONE | {"research.block": "ligr"},
}
_BEHAVIOUR = ["behaviour"]
_TOWERS = [["words", "id"], ["words", "codes", "id"], _BEHAVIOUR]
WEIGHTS = FitConfig().memory  # that a memory may have beside the model
# Each part of the method taken away from the whole, or exchanged.
ABLATIONS: dict[str, Settings] = {
    "bbqrec-without-behaviour": {"fit.towers": [["words", "id"], ["words", "codes", "id"]]},
    "bbqrec-without-borrowing": {"fit.borrowing": [0.0]},
    # The gain of towers alone: those that attend are plain backbones.
    "bbqrec-without-content": {
        "fit.towers": [["id"], ["id"], _BEHAVIOUR],
        "fit.reweighting": False,
        "fit.borrowing": [0.0],
    },
    "bbqrec-without-words": {"fit.towers": [["id"], ["codes", "id"], _BEHAVIOUR]},
    "bbqrec-without-codes": {"fit.towers": [["words", "id"], ["words", "id"], _BEHAVIOUR]},
    "bbqrec-without-id": {"fit.towers": [["words"], ["words", "codes"], _BEHAVIOUR]},
    "bbqrec-with-one-tower": _ONE_TOWER,  # a backbone, but for what its training masks
    "bbqrec-with-words-in-behaviour": {
        "fit.towers": [["words", "id"], ["words", "codes", "id"], ["words", *_BEHAVIOUR]]
    },
    "bbqrec-without-late-fusion": {"fit.towers": [["words", "codes", "id"], _BEHAVIOUR]},
    "bbqrec-without-averaging": {"fit.averaging": 0.0},
    "bbqrec-without-mask": {"fit.mask_seen": False},
    "bbqrec-with-mask": {"fit.mask_seen": True},
    "bbqrec-without-similarity": {"fit.reweighting": False},
    SIMILARITY: {"fit.reweighting": True},
    RANDOM_BUCKETS: {"fit.reweighting": True, "research.edges": "random"},
    "bbqrec-with-affine-edges": {"fit.reweighting": True, "research.edges": "affine"},
    "bbqrec-with-multiplicative": {
        "fit.reweighting": True,
        "research.reweighting": "multiplicative",
    },
    "bbqrec-without-club": {"quantize.mutual_information": 0.0},
    "bbqrec-without-shared-codebook": {"research.shared_codebook": False},
    "bbqrec-without-contrast": {"quantize.contrast": 0.0},
    "bbqrec-without-sequence-contrast": {"quantize.sequence_contrast": 0.0},
    "bbqrec-without-quantizer-id": {"research.id_residual": False},
    "bbqrec-with-diversity": {"research.diversity": 0.1},
}
# Models whose weights are another's: what was counted is added, all of it or what follows alone.
_WITH = {"memory": {}, "transitions": {"research.likeness": False}}
MEMORIES = {
    f"{name}-and-{counted}": name
    for name in (OURS, "bbqrec-with-words-in-behaviour", *BACKBONES)
    for counted in _WITH
}
ABLATIONS |= {
    name: {
        **{OURS: {}, **BACKBONES, **ABLATIONS}[of],
        **{"fit.memory": WEIGHTS, **_WITH[name.rpartition("-")[2]]},
    }
    for name, of in MEMORIES.items()
}
# What RecTools can be trained to its end with in an hour or two, and our backbones likewise. Both
# sides are as configured: a check of the code needs equal settings, not the best ones.
_AS_RECTOOLS = "-as-rectools"
CHECKS: dict[str, Settings] = {
    name + _AS_RECTOOLS: {
        **settings,
        "fit.negatives": 256,
        "fit.max_history": 20,
        "fit.blocks": 1,
    }
    for name, settings in BACKBONES.items()
}
LEARNED: dict[str, Settings] = {OURS: {}, **BACKBONES, **ABLATIONS, **CHECKS}
# What follows what, as counted; and with what is described alike.
TRANSITIONS, MEMORY = "transitions", "memory"
COUNTED = (
    *("popularity", "item-knn", "item-knn-decayed", "content-knn"),
    *(TRANSITIONS, MEMORY),
)
# RecTools' own models, and which of ours each is the check of: they share its settings.
PEERS = {
    "rectools-sasrec": "sasrec-ss" + _AS_RECTOOLS,
    "rectools-esasrec": "esasrec" + _AS_RECTOOLS,
}
HEADLINE = (OURS, *BACKBONES, *COUNTED)
# What is not ours: trained, counted, or a backbone with what is counted beside it.
RIVALS = (
    *BACKBONES,
    *(name for name, of in MEMORIES.items() if of in BACKBONES),
    *(*PEERS, *COUNTED),
)
# What a run makes by default, as near as it was measured: the first that a table has.
SHIPPED = (f"{OURS}-with-words-in-behaviour-and-memory", f"{OURS}-and-memory", OURS)
ALIASES = {
    "ours": (OURS,),
    "ablations": tuple(ABLATIONS),
    "backbones": tuple(BACKBONES),
    "peers": (*PEERS, *CHECKS),
}


def as_measured(config: RunConfig) -> RunConfig:
    """What ``bbqrec`` and all that differs from it were first measured as, whatever the defaults
    are since: no memory, and no words in the tower of behaviour where a file names no towers.
    """
    towers = {} if "towers" in config.fit.model_fields_set else {"fit.towers": _TOWERS}
    return configured(config, {"fit.memory": [0.0], **towers})


def revision(model: str) -> int:
    """To be raised when a change of code makes a model's earlier results void.

    2: edges of similarity buckets are taken from real pairs of items, no longer from padding too.
    3: items that training never saw are no negatives; backbones have nothing to learn from those.
    """
    of = MEMORIES.get(model, model)
    return 3 if of == OURS or of in ABLATIONS else 0


def tuned_as(model: str) -> str:
    """Whose search a model's settings come from: an ablation takes those of the whole."""
    of = MEMORIES.get(model, model)
    return OURS if of in ABLATIONS else of  # which may be ours itself


def changes_nothing(model: str, base: RunConfig, settings: Settings) -> bool:
    """Whether an ablation takes away what ours, with these settings, does not have."""
    ours = configured(base, settings)
    return model in ABLATIONS and configured(base, settings, ABLATIONS[model]) == ours


def named(names: str) -> tuple[str, ...]:
    """Models of a comma-separated list. Raises ValueError for one that is not known."""
    found: list[str] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        members = ALIASES.get(name, (name,))
        if unknown := set(members) - {*LEARNED, *COUNTED, *PEERS}:
            known = ", ".join([*ALIASES, *LEARNED, *COUNTED, *PEERS])
            raise ValueError(f"no model is named {', '.join(unknown)}; there are {known}")
        found += members
    return tuple(dict.fromkeys(found))


def configured(base: RunConfig, *settings: Settings) -> RunConfig:
    """A copy of ``base`` with settings put in, later ones over earlier ones, and validated."""
    content = base.model_dump()
    for name, value in (pair for each in settings for pair in each.items()):
        *path, last = name.split(".")
        section = content
        for part in path:
            section = section[part]
        if last not in section:
            raise ValueError(f"there is no setting {name}")
        section[last] = value
    return RunConfig.model_validate(content)
