"""Short ways to write a log, prepare it, and look at what came out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from training.config import RunConfig
from training.data.dataset import DatasetCard, PreparedDataset
from training.data.histories import Part
from training.data.prepare import prepare

Triple = tuple[str, str, int | None]


@dataclass(frozen=True)
class Prepared:
    """What ``prepare`` left, read back."""

    card: DatasetCard
    data: PreparedDataset
    log: pl.DataFrame  # with ids beside the indices
    rejects: list[dict[str, Any]]

    @property
    def triples(self) -> list[Triple]:
        """user_id, item_id, timestamp in the order written."""
        return list(self.log.select("user_id", "item_id", "timestamp").iter_rows())

    def history(self, user: str) -> list[str]:
        return self.log.filter(user_id=user)["item_id"].to_list()

    def parts(self, user: str) -> list[Part]:
        return [Part(part) for part in self.log.filter(user_id=user)["part"]]

    def item(self, item_id: str) -> dict[str, Any]:
        return self.data.contents().filter(item_id=item_id).row(0, named=True)

    @property
    def bad(self) -> list[tuple[str, int, str]]:
        """file, line, reason."""
        return [(entry["file"], entry["line"], entry["reason"]) for entry in self.rejects]


def config(log: Path, **sections: Any) -> RunConfig:
    """A configuration that keeps everything, unless told otherwise."""
    interactions = {"path": log} | sections.pop("interactions", {})
    kept = {"k_core": 0, "max_reject_share": 1} | sections.pop("filter", {})
    return RunConfig.model_validate(
        {"name": "test", "output": log.parent, "interactions": interactions, "filter": kept}
        | sections
    )


def run(log: Path, **sections: Any) -> Prepared:
    """Prepare a log that a test wrote."""
    directory = log.parent / "prepared"
    card = prepare(config(log, **sections), directory)
    users = pl.read_parquet(directory / "users.parquet")
    data = PreparedDataset.load(directory)
    frame = pl.read_parquet(directory / "interactions.parquet")
    joined = frame.join(users, on="user_index", maintain_order="left").join(
        data.items.select("item_index", "item_id"), on="item_index", maintain_order="left"
    )
    lines = (directory / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    return Prepared(card, data, joined, [json.loads(line) for line in lines])


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Three interactions of one user, so that one can be held out; ids that are no numbers.
GOOD: list[Triple] = [("007", "a", 10), ("007", "b", 20), ("007", "c", 30)]
GOOD_CSV = "user_id,item_id,timestamp\n007,a,10\n007,b,20\n007,c,30\n"
