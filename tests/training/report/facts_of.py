"""Facts that no rule finds fault with, to be spoilt one by one."""

from typing import Any

from models.contract.config import CodeSpace
from training.data.dataset import (
    ContentCard,
    DatasetCard,
    RemovedCard,
    SourceCard,
    SplitCard,
)
from training.evaluate.details import MemoryGain, Slice
from training.evaluate.intervals import Estimate, Interval
from training.fit.calibrate import Exposure
from training.memory.memory import Recipe
from training.report.facts import (
    Chosen,
    Content,
    Cost,
    Curve,
    Evaluation,
    Facts,
    Fitted,
    Group,
    Histogram,
    Lengths,
    Map,
    NewItems,
    Pair,
    Shown,
    Story,
)


def evaluation(**changes: Any) -> Evaluation:
    figures = {"recall@10": 0.2, "ndcg@10": 0.1, "coverage@10": 0.5}
    models = {"popularity": figures, "bbqrec": {**figures, "recall@10": 0.3, "ndcg@10": 0.15}}
    sure = dict.fromkeys(("recall@10", "ndcg@10"), Interval(0.05, 0.35))
    new = {"new recall@10": 0.1, "mixed ndcg@10": 0.1, "new shown": 0.05}
    some = Estimate(0.15, 0.1, 0.2)
    fields: dict[str, Any] = {
        "users": 5000,
        "left_out": 0,
        "best_baseline": "popularity",
        "loses_to_baseline": False,
        "models": models,
        "intervals": dict.fromkeys(models, sure),
        "gain": Estimate(0.5, 0.3, 0.7),
        "slices": (Slice("history", 3, 9, 5000, dict.fromkeys(models, some)),),
        "memory": MemoryGain(5000, 0.12, Estimate(0.1, 0.05, 0.15)),
        "examples": (),
        "new_items": NewItems(
            new=50,
            events=5000,
            taken=0.1,
            models=dict.fromkeys(models, new),
            intervals={name: {} for name in models},
        ),
    }
    return Evaluation(**fields | changes)


def card(**changes: Any) -> DatasetCard:
    source = SourceCard(source="clicks.csv", format="csv", rows=100_000, rejected={})
    fields: dict[str, Any] = {
        "users": 5000,
        "items": 800,
        "interactions": 99_000,
        "interactions_source": source,
        "items_source": source.model_copy(update={"source": "items.csv", "rows": 900}),
        "removed": RemovedCard(k_core=1000),
        "content": ContentCard(title=800, text=800),
        "split": SplitCard(
            kind="leave_one_out",
            seed=1,
            ties="file",
            timed=True,
            interactions={"train": 89_000, "validation": 5000, "test": 5000},
            evaluated_users={"validation": 5000, "test": 5000},
        ),
    }
    return DatasetCard(**fields | changes)


def facts(**changes: Any) -> Facts:
    space = CodeSpace(modalities=("text", "behaviour"), levels=2, codebook_size=16, vector_size=8)
    used = {f"level_{level}/used": 0.98 for level in (1, 2)}
    fields: dict[str, Any] = {
        "name": "shop",
        "created_at": "2026-01-02T03:04:05+00:00",
        "recommend": "new",
        "refit": True,
        "learn_test": True,
        "card": card(),
        "over_time": Histogram((1.6e9, 1.61e9, 1.62e9), (3, 4)),
        "lengths": Lengths(3, 7, 20, 99, Histogram((3.0, 10.0, 50.0), (4000, 1000))),
        "rejects": (),
        "content": {"text": Content(encoder="wordllama", present=800)},
        "curves": {"fit": (Curve("train/loss", ((1, 5.0), (2, 4.0))),), "quantize": ()},
        "fitted": Fitted.model_validate(
            {
                "epochs": 2,
                "validation_ndcg@10": 0.16,
                "borrowing": 0.25,
                "memory": Recipe(0.3, 0.7, 4.0),
                "exposure": Exposure(0.05, 0.06, 0.3, 0.15, 0.16),
            }
        ),
        "evaluation": evaluation(),
        "stories": (Story((Shown("a cup"),), 1, "a plate", (Shown("a plate", True),), 1),),
        "space": space,
        "health": {
            **used,
            **{f"{modality}/{name}": 0.8 for modality in space.modalities for name in used},
            "moved_rate": 0.0,
            "extended_rate": 0.0,
            "text/behaviour_agreement@10": 0.4,
        },
        "pairs": (Pair("text", "text", (0.1, 0.4, 0.9), (0.5, 1.0, 1.5)),),
        "map": Map(
            modality="text",
            groups=(Group(3, 2, ("a cup", "a plate"), ((0.1, 0.2), (0.3, 0.4))),),
            others=((0.9, 0.8),),
            labels=((0.1, 0.2, "a cup"),),
            items=800,
            variance=0.4,
            explained=0.7,
            chance=0.1,
        ),
        "settings": tuple(
            Chosen(name, value, value, "", changed=False)
            for name, value in {
                "fit.epochs": "10",
                "fit.precision": '"32-true"',
                "fit.accelerator": '"cpu"',
            }.items()
        ),
        "costs": {"fit": Cost(seconds=60.0, peak_bytes=10**9, cpus=2, versions={"torch": "2"})},
    }
    return Facts(**fields | changes)
