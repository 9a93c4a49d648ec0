"""Every model of the table, as a difference from the data set's own configuration."""

from collections.abc import Mapping
from typing import Any

from training.config import RunConfig

Settings = Mapping[str, Any]  # dotted names in RunConfig

OURS = "bbqrec"
_BACKBONE = {"fit.towers": [["id"]], "fit.reweighting": "off"}

# Our implementation of the strongest published backbones, with none of our parts.
BACKBONES: dict[str, Settings] = {
    "sasrec-ss": _BACKBONE | {"fit.block": "sasrec"},
    "esasrec": _BACKBONE | {"fit.block": "ligr"},
}
# What bbqrec was before it had a behaviour tower: its other parts can be taken from either.
ATTENDING = "bbqrec-without-behaviour"
_ATTENDING: Settings = {"fit.towers": [["words", "id"], ["words", "codes", "id"]]}
_BEHAVIOUR = [["behaviour"]]


def _ablations(whole: str, settings: Settings, others: list[list[str]]) -> dict[str, Settings]:
    """Each part taken away from ``whole``, which has ``settings``, or exchanged.

    others: its towers beside those that attend.
    """
    towers: dict[str, Settings] = {
        # The gain of towers alone: those that attend are plain backbones.
        "without-content": {"fit.towers": [["id"], ["id"]], "fit.reweighting": "off"},
        "without-words": {"fit.towers": [["id"], ["codes", "id"]]},
        "without-codes": {"fit.towers": [["words", "id"], ["words", "id"]]},
        "without-id": {"fit.towers": [["words"], ["words", "codes"]]},
        "without-late-fusion": {"fit.towers": [["words", "codes", "id"]]},
    }
    parts: dict[str, Settings] = {
        "without-averaging": {"fit.averaging": 0.0},
        "without-similarity": {"fit.reweighting": "off"},
        "with-random-buckets": {"fit.edges": "random"},
        "with-affine-edges": {"fit.edges": "affine"},
        "with-multiplicative": {"fit.reweighting": "multiplicative"},
        "without-club": {"quantize.mutual_information": 0.0},
        "without-shared-codebook": {"quantize.shared_codebook": False},
        "without-contrast": {"quantize.contrast": 0.0},
        "without-sequence-contrast": {"quantize.sequence_contrast": 0.0},
        "without-quantizer-id": {"quantize.id_residual": False},
        "with-diversity": {"quantize.diversity": 0.1},
    }
    found = {name: {**s, "fit.towers": [*s["fit.towers"], *others]} for name, s in towers.items()}
    found |= {name: {**settings, **part} for name, part in parts.items()}
    return {f"{whole}-{name}": changed for name, changed in found.items()}


ABLATIONS: dict[str, Settings] = {
    ATTENDING: _ATTENDING,
    **_ablations(OURS, {}, _BEHAVIOUR),
    **_ablations(ATTENDING, _ATTENDING, []),
}
# What RecTools can be trained to its end with in an hour on one core, and our backbones likewise.
_AS_RECTOOLS = "-as-rectools"
CHECKS: dict[str, Settings] = {
    name + _AS_RECTOOLS: {**settings, "fit.negatives": 256, "fit.max_history": 20}
    for name, settings in BACKBONES.items()
}
LEARNED: dict[str, Settings] = {OURS: {}, **BACKBONES, **ABLATIONS, **CHECKS}
COUNTED = ("popularity", "item-knn", "item-knn-decayed", "content-knn")
# RecTools' own models, and which of ours each is the check of: they share its settings.
PEERS = {
    "rectools-sasrec": "sasrec-ss" + _AS_RECTOOLS,
    "rectools-esasrec": "esasrec" + _AS_RECTOOLS,
}
HEADLINE = (OURS, *BACKBONES, *COUNTED)
ALIASES = {
    "ours": (OURS,),
    "ablations": (ATTENDING, *_ablations(OURS, {}, _BEHAVIOUR)),
    "backbones": tuple(BACKBONES),
    "peers": (*PEERS, *CHECKS),
}


def revision(model: str) -> int:
    """To be raised when a change of code makes a model's earlier results void.

    2: edges of similarity buckets are taken from real pairs of items, no longer from padding too.
    3: items that training never saw are no negatives; backbones have nothing to learn from those.
    """
    return 3 if model == OURS or model in ABLATIONS else 0


def whole_of(ablation: str) -> str:
    """The model that an ablation takes a part from."""
    return ATTENDING if ablation.startswith(f"{ATTENDING}-") else OURS


def tuned_as(model: str) -> str:
    """Whose search a model's settings come from: an ablation takes those of the whole."""
    return OURS if model in ABLATIONS else PEERS.get(model, model).removesuffix(_AS_RECTOOLS)


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
